import type { FoundLayout } from "../checkpoint/layout.ts";
import { recogniseLayouts } from "../checkpoint/layouts.ts";
import { storedShape } from "../checkpoint/matching.ts";
import { loadInto, type LoadReport } from "../checkpoint/load.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { gpt2ConfigOf, recurrentConfigOf, resnetConfigOf, vitConfigOf, type GPT2Hints, type ShapeOf, type ViTHints } from "../models/config-of.ts";
import { GPT2LMHeadModel } from "../models/gpt2.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { VisionTransformer } from "../models/vit.ts";
import type { Builder } from "../nn/layers.ts";
import { uninitialised, type Module } from "../nn/module.ts";
import { EncDec } from "./encdec.ts";
import { Prefix } from "./prefix.ts";
import { Story } from "./story.ts";
import { Storyteller } from "./storyteller.ts";
import type { ModelConfig, SystemName } from "./systems.ts";
import { VisionGPT2 } from "./vision-gpt2.ts";

/** What no tensor tells of a model. */
export interface PublishedHints {
  readonly vit?: ViTHints;
  readonly gpt2?: GPT2Hints;
  /** Heads of the transformer over the tokens of a `prefix` model; published: 8. */
  readonly prefixHeads?: number;
  /** The network of a `storyteller`, whose file holds none; its weights are still to be loaded. Without it, features come from outside. */
  readonly backbone?: ResNetConfig;
}

type ConfigOf<System extends SystemName> = Extract<ModelConfig, { readonly system: System }>;

/** A model with published weights, by what it is; a captioner's with its configuration. */
export type Published =
  | { readonly kind: "resnet"; readonly model: ResNet }
  | { readonly kind: "vit"; readonly model: VisionTransformer }
  | { readonly kind: "gpt2"; readonly model: GPT2LMHeadModel }
  | { readonly kind: "vision-gpt2"; readonly model: VisionGPT2; readonly config: ConfigOf<"cross"> }
  | { readonly kind: "story"; readonly model: Story; readonly config: ConfigOf<"story"> }
  | { readonly kind: "storyteller"; readonly model: Storyteller; readonly config: ConfigOf<"storyteller"> }
  | { readonly kind: "prefix"; readonly model: Prefix; readonly config: ConfigOf<"prefix"> }
  | { readonly kind: "encdec"; readonly model: EncDec; readonly config: ConfigOf<"encdec"> };

/** One kind of file: by which layouts it is known, and how its model is made. */
interface Kind {
  readonly layout: string;
  /** Of captioners. */
  readonly system?: SystemName;
  build(builder: Builder, shapeOf: ShapeOf, hints: PublishedHints): Published;
}

const under = (shapeOf: ShapeOf, prefix: string): ShapeOf => (key) => shapeOf(prefix + key);

const EXACT = { activation: "gelu" } as const;

const HUGGING_FACE = "Hugging Face VisionEncoderDecoder";

/** Whole systems first: their files hold the keys of their parts too. */
const KINDS: readonly Kind[] = [
  { layout: HUGGING_FACE, system: "cross", build: (builder, shapeOf, { vit, gpt2 }) => visionGPT2(builder, shapeOf, { vit: { eps: 1e-12, ...vit }, gpt2 }, "last") },
  { layout: "ViT and GPT-2 with cross_attn", system: "cross", build: (builder, shapeOf, { vit, gpt2 }) => visionGPT2(builder, shapeOf, { vit, gpt2: { ...EXACT, ...gpt2 } }, "each") },
  {
    layout: "story",
    system: "story",
    build: (builder, shapeOf, { gpt2 }) => {
      const config = { system: "story", encoder: resnetConfigOf(under(shapeOf, "encoder.cnn.")), gpt2: gpt2ConfigOf(under(shapeOf, "gpt2."), gpt2) } as const;
      return { kind: "story", model: new Story(builder, config), config };
    },
  },
  { layout: "prefix", system: "prefix", build: prefix },
  {
    layout: "encdec",
    system: "encdec",
    build: (builder, shapeOf) => {
      const config = { system: "encdec", encoder: resnetConfigOf(under(shapeOf, "body.")), decoder: recurrentConfigOf(under(shapeOf, "decoder.")) } as const;
      return { kind: "encdec", model: new EncDec(builder, config), config };
    },
  },
  { layout: "storyteller", system: "storyteller", build: storyteller },
  { layout: "torchvision ResNet", build: (builder, shapeOf) => ({ kind: "resnet", model: new ResNet(builder, resnetConfigOf(shapeOf)) }) },
  { layout: "timm ViT", build: (builder, shapeOf, { vit }) => ({ kind: "vit", model: new VisionTransformer(builder, vitConfigOf(shapeOf, vit)) }) },
  { layout: "Hugging Face ViT", build: (builder, shapeOf, { vit }) => ({ kind: "vit", model: new VisionTransformer(builder, vitConfigOf(shapeOf, { eps: 1e-12, ...vit })) }) },
  { layout: "GPT-2", build: (builder, shapeOf, { gpt2 }) => ({ kind: "gpt2", model: new GPT2LMHeadModel(builder, gpt2ConfigOf(shapeOf, gpt2)) }) },
];

function visionGPT2(builder: Builder, shapeOf: ShapeOf, { vit, gpt2 }: PublishedHints, looksAt: "last" | "each"): Published {
  const encoder = vitConfigOf(under(shapeOf, "encoder."), vit);
  const decoder = gpt2ConfigOf(under(shapeOf, "decoder."), gpt2);
  const config = { system: "cross", encoder, decoder, looksAt } as const;
  return { kind: "vision-gpt2", model: new VisionGPT2(builder, config), config };
}

function prefix(builder: Builder, shapeOf: ShapeOf, { vit, gpt2, prefixHeads = 8 }: PublishedHints): Published {
  const decoder = gpt2ConfigOf(under(shapeOf, "text_decoder."), gpt2);
  const linears: number[] = []; // outputs of the projection's linear layers: those whose weights are matrices
  for (let i = 0; i < 100; i++) {
    const shape = shapeOf(`image_proj_to_text.${i}.weight`);
    if (shape?.length === 2) linears.push(shape[0]);
  }
  let layers = 0;
  while (shapeOf(`vision_transformer_encoder.layers.${layers}.linear1.weight`) !== undefined) layers++;
  const config = {
    system: "prefix",
    encoder: vitConfigOf(under(shapeOf, "visual_encoder."), vit),
    embedding: shapeOf("vision_proj.weight")![0],
    hidden: linears.slice(0, -1),
    tokens: linears.at(-1)! / decoder.dim,
    layers,
    heads: prefixHeads,
    feedForward: shapeOf("vision_transformer_encoder.layers.0.linear1.weight")?.[0] ?? 0,
    gpt2: decoder,
  } as const;
  return { kind: "prefix", model: new Prefix(builder, config), config };
}

function storyteller(builder: Builder, shapeOf: ShapeOf, { backbone }: PublishedHints): Published {
  const decoder = recurrentConfigOf(under(shapeOf, "decoder."));
  const [, features] = shapeOf("encoder.fc.weight")!;
  const config = { system: "storyteller", backbone: backbone ?? null, grid: 1, features, attention: null, decoder } as const;
  const model = new Storyteller(builder, config);
  const channels = model.backbone?.channels ?? features;
  if (channels === features) return { kind: "storyteller", model, config };
  model.dispose();
  throw new InputError(`the vision network must give ${features} features of a picture, on which this storyteller works; got one that gives ${channels}`, "published ones work on a ResNet-50");
}

/**
 * Which captioner a file holds, told from the names of its tensors; null for a network that is none by itself.
 * @throws CheckpointError if it holds no known model.
 */
export function publishedSystem(reader: CheckpointReader): { readonly system: SystemName; readonly huggingFace: boolean } | null {
  const { kind: { system, layout } } = recognise(reader);
  return system === undefined ? null : { system, huggingFace: layout === HUGGING_FACE };
}

/** What of the model stands where in a file. @throws CheckpointError if it holds no known model. */
function recognise(reader: CheckpointReader): { kind: Kind; found: FoundLayout } {
  const layouts = recogniseLayouts(reader.tensors.keys());
  for (const kind of KINDS) {
    const found = layouts.find(({ layout }) => layout.name === kind.layout);
    if (found !== undefined) return { kind, found };
  }
  const names = [...reader.tensors.keys()].slice(0, 5).join(", ");
  throw new CheckpointError(`${reader.file}: must hold one of ${KINDS.map(({ layout }) => layout).join(", ")}; got ${reader.tensors.size} tensors (${names} …)`, "`sightline inspect FILE` shows what is in it");
}

/**
 * The model that a file of published weights holds, with these weights: what it is and how large it is are read from names and
 * shapes of the tensors.
 *
 * @example
 * const { kind, model } = await loadPublished(builder, await openCheckpoint("resnet50-0676ba61.pth"));
 * @throws CheckpointError if the file holds no known model, or a tensor is missing, unexpected or misshapen.
 */
export async function loadPublished(builder: Builder, reader: CheckpointReader, hints: PublishedHints = {}): Promise<Published & { readonly report: LoadReport }> {
  const { kind, found } = recognise(reader);
  const published = named(reader.file, () => uninitialised(() => kind.build(builder, (key) => storedShape(key, found, reader.tensors), hints)));
  const model: Module = published.model;
  const ignore = hints.backbone === undefined ? [] : [/^backbone\./];
  try {
    return { ...published, report: await loadInto(model, reader, { layout: found.layout.name, prefix: found.prefix, ignore }) };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** What an action returns; its errors about sizes say of which file. */
function named<T>(file: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new CheckpointError(`${file}: ${error.message}`, undefined, { cause: error });
  }
}

/**
 * What a `config.json` of Hugging Face says that tensors don't; beside its own fields, `prefix_heads` of a `prefix` model.
 * @throws InputError for a ViT or GPT-2 of a kind that is not supported.
 */
export function hintsOf(config: unknown): PublishedHints {
  const fields = (typeof config === "object" && config !== null ? config : {}) as Record<string, unknown>;
  const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
  if (fields.model_type === "vision-encoder-decoder") return { ...hintsOf(fields.encoder), ...hintsOf(fields.decoder), ...given({ prefixHeads: number(fields.prefix_heads) }) };
  if (fields.model_type === "vit") {
    if (fields.hidden_act !== undefined && fields.hidden_act !== "gelu") throw new InputError(`config.json: hidden_act must be "gelu"; got ${JSON.stringify(fields.hidden_act)}`);
    return { vit: given({ heads: number(fields.num_attention_heads), eps: number(fields.layer_norm_eps) }) };
  }
  if (fields.model_type === "gpt2") {
    const activations: Record<string, GPT2Hints["activation"]> = { gelu_new: "gelu_tanh", gelu_pytorch_tanh: "gelu_tanh", gelu: "gelu" };
    const name = fields.activation_function ?? "gelu_new";
    const activation = typeof name === "string" ? activations[name] : undefined;
    if (activation === undefined) throw new InputError(`config.json: activation_function must be one of ${Object.keys(activations).join(", ")}; got ${JSON.stringify(name)}`);
    for (const [name, expected] of [["scale_attn_weights", true], ["scale_attn_by_inverse_layer_idx", false], ["reorder_and_upcast_attn", false]] as const) {
      if (fields[name] !== undefined && fields[name] !== expected) throw new InputError(`config.json: ${name} must be ${expected}; got ${JSON.stringify(fields[name])}`, "other attention is not supported");
    }
    return { gpt2: given({ heads: number(fields.n_head), eps: number(fields.layer_norm_epsilon), activation }) };
  }
  return {};
}

/** Without the fields that are undefined. */
function given<T extends object>(fields: { readonly [Key in keyof T]: T[Key] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
