import { recogniseLayouts, type FoundLayout } from "../checkpoint/layouts.ts";
import { storedShape } from "../checkpoint/matching.ts";
import { loadInto, type LoadReport } from "../checkpoint/load.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { CheckpointError, InputError } from "../core/errors.ts";
import { gpt2ConfigOf, recurrentConfigOf, resnetConfigOf, vitConfigOf, type GPT2Hints, type ShapeOf, type ViTHints } from "../models/config-of.ts";
import { GPT2LMHeadModel } from "../models/gpt2.ts";
import { ResNet } from "../models/resnet.ts";
import { VisionTransformer } from "../models/vit.ts";
import type { Builder } from "../nn/layers.ts";
import { uninitialised, type Module } from "../nn/module.ts";
import { EncDec } from "./encdec.ts";
import { Prefix } from "./prefix.ts";
import { Story } from "./story.ts";
import { Storyteller } from "./storyteller.ts";
import { VisionGPT2 } from "./vision-gpt2.ts";

/** What no tensor tells of a model. */
export interface PublishedHints {
  readonly vit?: ViTHints;
  readonly gpt2?: GPT2Hints;
  /** Heads of the transformer over the tokens of a `prefix` model; published: 8. */
  readonly prefixHeads?: number;
}

/** A model with published weights, by what it is. */
export type Published =
  | { readonly kind: "resnet"; readonly model: ResNet }
  | { readonly kind: "vit"; readonly model: VisionTransformer }
  | { readonly kind: "gpt2"; readonly model: GPT2LMHeadModel }
  | { readonly kind: "vision-gpt2"; readonly model: VisionGPT2 }
  | { readonly kind: "story"; readonly model: Story }
  | { readonly kind: "storyteller"; readonly model: Storyteller }
  | { readonly kind: "prefix"; readonly model: Prefix }
  | { readonly kind: "encdec"; readonly model: EncDec };

/** One kind of file: by which layouts it is known, and how its model is made. */
interface Kind {
  readonly layout: string;
  build(builder: Builder, shapeOf: ShapeOf, hints: PublishedHints): Published;
}

const under = (shapeOf: ShapeOf, prefix: string): ShapeOf => (key) => shapeOf(prefix + key);

const EXACT = { activation: "gelu" } as const;

/** Whole systems first: their files hold the keys of their parts too. */
const KINDS: readonly Kind[] = [
  { layout: "Hugging Face VisionEncoderDecoder", build: (builder, shapeOf, { vit, gpt2 }) => visionGPT2(builder, shapeOf, { vit: { eps: 1e-12, ...vit }, gpt2 }, "last") },
  { layout: "ViT and GPT-2 with cross_attn", build: (builder, shapeOf, { vit, gpt2 }) => visionGPT2(builder, shapeOf, { vit, gpt2: { ...EXACT, ...gpt2 } }, "each") },
  {
    layout: "story",
    build: (builder, shapeOf, { gpt2 }) => ({ kind: "story", model: new Story(builder, { encoder: resnetConfigOf(under(shapeOf, "encoder.cnn.")), gpt2: gpt2ConfigOf(under(shapeOf, "gpt2."), gpt2) }) }),
  },
  { layout: "prefix", build: prefix },
  {
    layout: "encdec",
    build: (builder, shapeOf) => ({ kind: "encdec", model: new EncDec(builder, { encoder: resnetConfigOf(under(shapeOf, "body.")), decoder: recurrentConfigOf(under(shapeOf, "decoder.")) }) }),
  },
  { layout: "storyteller", build: storyteller },
  { layout: "torchvision ResNet", build: (builder, shapeOf) => ({ kind: "resnet", model: new ResNet(builder, resnetConfigOf(shapeOf)) }) },
  { layout: "timm ViT", build: (builder, shapeOf, { vit }) => ({ kind: "vit", model: new VisionTransformer(builder, vitConfigOf(shapeOf, vit)) }) },
  { layout: "Hugging Face ViT", build: (builder, shapeOf, { vit }) => ({ kind: "vit", model: new VisionTransformer(builder, vitConfigOf(shapeOf, { eps: 1e-12, ...vit })) }) },
  { layout: "GPT-2", build: (builder, shapeOf, { gpt2 }) => ({ kind: "gpt2", model: new GPT2LMHeadModel(builder, gpt2ConfigOf(shapeOf, gpt2)) }) },
];

function visionGPT2(builder: Builder, shapeOf: ShapeOf, { vit, gpt2 }: PublishedHints, looksAt: "last" | "each"): Published {
  const encoder = vitConfigOf(under(shapeOf, "encoder."), vit);
  const decoder = gpt2ConfigOf(under(shapeOf, "decoder."), gpt2);
  return { kind: "vision-gpt2", model: new VisionGPT2(builder, { encoder, decoder, looksAt }) };
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
    encoder: vitConfigOf(under(shapeOf, "visual_encoder."), vit),
    embedding: shapeOf("vision_proj.weight")![0],
    hidden: linears.slice(0, -1),
    tokens: linears.at(-1)! / decoder.dim,
    layers,
    heads: prefixHeads,
    feedForward: shapeOf("vision_transformer_encoder.layers.0.linear1.weight")?.[0] ?? 0,
    gpt2: decoder,
  };
  return { kind: "prefix", model: new Prefix(builder, config) };
}

function storyteller(builder: Builder, shapeOf: ShapeOf): Published {
  const decoder = recurrentConfigOf(under(shapeOf, "decoder."));
  const [, features] = shapeOf("encoder.fc.weight")!;
  return { kind: "storyteller", model: new Storyteller(builder, { backbone: null, grid: 1, features, attention: null, decoder }) };
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
  return { ...published, report: await loadInto(model, reader, { layout: found.layout.name, prefix: found.prefix }) };
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
 * What a `config.json` of Hugging Face says that tensors don't.
 * @throws InputError for a ViT or GPT-2 of a kind that is not supported.
 */
export function hintsOf(config: unknown): PublishedHints {
  const fields = (typeof config === "object" && config !== null ? config : {}) as Record<string, unknown>;
  const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);
  if (fields.model_type === "vision-encoder-decoder") return { ...hintsOf(fields.encoder), ...hintsOf(fields.decoder) };
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
