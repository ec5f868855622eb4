/**
 * The layouts of published checkpoints, and which of them a file has.
 * Source: the state dicts of torchvision 0.20, timm 1.0 and transformers 4 and 5.
 */

import type { FoundLayout, Layout, Rule } from "./layout.ts";

function same(...patterns: readonly string[]): Rule[] {
  return patterns.map((pattern) => ({ model: pattern, stored: [pattern] }));
}

function renamed(names: Readonly<Record<string, string>>): Rule[] {
  return Object.entries(names).map(([model, stored]) => ({ model, stored: [stored] }));
}

function optional(rules: readonly Rule[]): Rule[] {
  return rules.map((rule) => ({ ...rule, optional: true }));
}

const atStart = (prefix: string) => (pattern: string): string => prefix + pattern;

/** A layout as it is where the model's and the stored keys have prefixes. */
function under(modelPrefix: string, storedPrefix: string, { signature, without = [], rules, unused = [], tied = {}, ...rest }: Layout): Layout {
  const stored = atStart(storedPrefix);
  return {
    ...rest,
    signature: signature.map(stored),
    without: without.map(stored),
    rules: rules.map((rule) => ({ ...rule, model: modelPrefix + rule.model, stored: rule.stored.map(stored) })),
    unused: unused.map(stored),
    tied: Object.fromEntries(Object.entries(tied).map(([copy, original]) => [stored(copy), stored(original)])),
  };
}

/** Several models in one file. */
function joined(name: string, parts: readonly Layout[], refused: Layout["refused"] = {}): Layout {
  return {
    name,
    signature: parts.flatMap(({ signature }) => signature),
    rules: parts.flatMap(({ rules }) => rules),
    unused: parts.flatMap(({ unused = [] }) => unused),
    tied: Object.assign({}, ...parts.map(({ tied }) => tied)) as Record<string, string>,
    refused,
  };
}

const RESNET: Layout = {
  name: "torchvision ResNet",
  signature: ["conv1.weight", "layer1.0.conv1.weight"],
  rules: [...same("conv1.weight", "bn1.*", "layerN.*"), ...optional(same("fc.*"))],
  unused: ["*num_batches_tracked"],
};

const TIMM_VIT: Layout = {
  name: "timm ViT",
  signature: ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight"],
  rules: [...same("cls_token", "pos_embed", "patch_embed.proj.*", "blocks.N.*"), ...optional(same("norm.*", "fc_norm.*", "pooler.dense.*", "head.*"))],
};

/** Names inside a block of Hugging Face's ViT: those of transformers up to version 4, and those of version 5. */
const HF_VIT_BLOCKS = [
  { block: "encoder.layer.N", attention: "attention.attention", names: ["query", "key", "value"], proj: "attention.output.dense", fc1: "intermediate.dense", fc2: "output.dense" },
  { block: "layers.N", attention: "attention", names: ["q_proj", "k_proj", "v_proj"], proj: "attention.o_proj", fc1: "mlp.fc1", fc2: "mlp.fc2" },
] as const;

function hfViT(root: "" | "vit.", { block, attention, names, proj, fc1, fc2 }: (typeof HF_VIT_BLOCKS)[number]): Layout {
  const inBlock = `${root}${block}`;
  const queryKeyValue = names.map((name) => `${inBlock}.${attention}.${name}`);
  return {
    name: "Hugging Face ViT",
    signature: [`${root}embeddings.cls_token`, `${queryKeyValue[0].replace("N", "0")}.weight`],
    rules: [
      ...renamed({
        cls_token: `${root}embeddings.cls_token`,
        pos_embed: `${root}embeddings.position_embeddings`,
        "patch_embed.proj.*": `${root}embeddings.patch_embeddings.projection.*`,
        "blocks.N.norm1.*": `${inBlock}.layernorm_before.*`,
        "blocks.N.attn.proj.*": `${inBlock}.${proj}.*`,
        "blocks.N.norm2.*": `${inBlock}.layernorm_after.*`,
        "blocks.N.mlp.fc1.*": `${inBlock}.${fc1}.*`,
        "blocks.N.mlp.fc2.*": `${inBlock}.${fc2}.*`,
      }),
      { model: "blocks.N.attn.qkv.*", stored: queryKeyValue.map((name) => `${name}.*`) },
      ...optional(renamed({ "norm.*": `${root}layernorm.*`, "pooler.dense.*": `${root}pooler.dense.*`, "head.*": "classifier.*" })),
    ],
    unused: [`${root}embeddings.mask_token`],
  };
}

const GPT2: Layout = {
  name: "GPT-2",
  signature: ["transformer.wte.weight", "transformer.h.0.attn.c_attn.weight"],
  without: ["transformer.h.0.cross_attn.q.weight"],
  rules: same("transformer.wte.weight", "transformer.wpe.weight", "transformer.h.N.*", "transformer.ln_f.*"),
  unused: ["attn", "crossattention"].flatMap((part) => [`transformer.h.N.${part}.bias`, `transformer.h.N.${part}.masked_bias`]),
  tied: { "lm_head.weight": "transformer.wte.weight" },
};

/** The body alone, as in the files of GPT2Model. */
const GPT2_BODY: Layout = {
  name: "GPT-2",
  signature: ["wte.weight", "h.0.attn.c_attn.weight"],
  without: ["h.0.cross_attn.q.weight"],
  rules: renamed({ "transformer.wte.weight": "wte.weight", "transformer.wpe.weight": "wpe.weight", "transformer.h.N.*": "h.N.*", "transformer.ln_f.*": "ln_f.*" }),
  unused: ["attn", "crossattention"].flatMap((part) => [`h.N.${part}.bias`, `h.N.${part}.masked_bias`]),
};

/** GPT-2 with cross-attention of separate q, k and v, between ln_1 and ln_3; all weights [out, in]. */
const GPT2_SPLIT_CROSS: Layout = {
  name: "GPT-2 with cross_attn",
  signature: ["transformer.wte.weight", "transformer.h.0.attn.c_attn.weight", "transformer.h.0.cross_attn.q.weight"],
  rules: [
    ...same("transformer.wte.weight", "transformer.wpe.weight", "transformer.h.N.ln_1.*", "transformer.ln_f.*"),
    ...renamed({ "transformer.h.N.ln_cross_attn.*": "transformer.h.N.ln_2.*", "transformer.h.N.ln_2.*": "transformer.h.N.ln_3.*" }),
    ...[
      ...same("transformer.h.N.attn.c_attn.*", "transformer.h.N.attn.c_proj.*", "transformer.h.N.mlp.c_fc.*", "transformer.h.N.mlp.c_proj.*"),
      ...renamed({ "transformer.h.N.crossattention.q_attn.*": "transformer.h.N.cross_attn.q.*", "transformer.h.N.crossattention.c_proj.*": "transformer.h.N.cross_attn.c_proj.*" }),
      { model: "transformer.h.N.crossattention.c_attn.*", stored: ["transformer.h.N.cross_attn.k.*", "transformer.h.N.cross_attn.v.*"] },
    ].map((rule) => ({ ...rule, transposed: true })),
  ],
  unused: ["transformer.h.N.attn.mask"],
  tied: { "lm_head.weight": "transformer.wte.weight" },
};

const RECURRENT = "recurrent decoder";

const CELLS = ["lstm", "gru", "rnn"] as const;

/** The decoder of the storyteller system. */
const STORYTELLER_DECODERS = CELLS.map((cell): Layout => ({
  name: RECURRENT,
  signature: ["embedding.weight", `${cell}.weight_ih_l0`, "fc.weight"],
  rules: same("embedding.weight", `${cell}.*`, "fc.*"),
}));

/** The decoder of the encoder-decoder system, which calls every cell `rnn`. */
const ENCDEC_DECODER: Layout = {
  name: RECURRENT,
  signature: ["embed.weight", "rnn.weight_ih_l0", "out.weight"],
  rules: renamed({ "embedding.weight": "embed.weight", "lstm.*": "rnn.*", "gru.*": "rnn.*", "rnn.*": "rnn.*", "fc.*": "out.*" }),
};

/** A ResNet's summary as one token before a GPT-2's text. */
const STORY = joined("story", [
  under("encoder.cnn.", "encoder.cnn.", RESNET),
  { name: "mapper", signature: ["mapper.weight"], rules: same("mapper.*") },
  under("gpt2.", "gpt2.", GPT2),
]);

/** A ViT's summary as a few tokens before a GPT-2's text. */
const PREFIX = joined("prefix", [
  under("visual_encoder.", "visual_encoder.", TIMM_VIT),
  { name: "projection", signature: ["vision_proj.weight"], rules: same("vision_proj.*", "image_proj_to_text.*", "vision_transformer_encoder.*") },
  under("text_decoder.", "text_decoder.", GPT2),
]);

/** A ResNet's summary as the first step of a recurrent decoder, which calls every cell `rnn`. */
const ENCDEC = joined("encdec", [
  under("body.", "body.", RESNET),
  { name: "projection", signature: ["linear.weight", "bn.weight"], rules: same("linear.*", "bn.*"), unused: ["bn.num_batches_tracked"] },
  under("decoder.", "", ENCDEC_DECODER),
]);

/** A recurrent decoder that begins with a picture's features. */
const STORYTELLER: Layout = {
  name: "storyteller",
  signature: ["encoder.fc.weight", "decoder.embedding.weight", "decoder.fc.weight"],
  rules: same("encoder.fc.*", "decoder.*"),
};

const WIDTHS = "its encoder and decoder differ in width; only files whose two halves have the same width can be loaded";

/** All that can be recognised. Variants of one name are tried in this order. */
export const LAYOUTS: readonly Layout[] = [
  STORY,
  PREFIX,
  ENCDEC,
  STORYTELLER,
  ...HF_VIT_BLOCKS.map((names) =>
    joined("Hugging Face VisionEncoderDecoder", [under("encoder.", "encoder.", hfViT("", names)), under("decoder.", "decoder.", GPT2)], { "enc_to_dec_proj.*": WIDTHS }),
  ),
  joined("ViT and GPT-2 with cross_attn", [under("encoder.", "", TIMM_VIT), under("decoder.", "", GPT2_SPLIT_CROSS)]),
  ...HF_VIT_BLOCKS.flatMap((names) => [hfViT("vit.", names), hfViT("", names)]),
  RESNET,
  TIMM_VIT,
  GPT2,
  GPT2_BODY,
  GPT2_SPLIT_CROSS,
  ...STORYTELLER_DECODERS,
  ENCDEC_DECODER,
];

const MOST_FOUND = 100; // models in a file: more than any honest one has, so that damaged ones cost no time

/**
 * Finds every known layout in the keys of a file: one for each model in it, wherever its keys begin.
 *
 * @example
 * recogniseLayouts(reader.tensors.keys()) // [{ layout: { name: "torchvision ResNet", … }, prefix: "backbone.body." }]
 */
export function recogniseLayouts(keys: Iterable<string>): FoundLayout[] {
  const all = new Set(keys);
  const found = new Map<string, FoundLayout>(); // by name and place: variants of one name may fit the same keys
  for (const layout of LAYOUTS) {
    const { name, signature, without = [] } = layout;
    const [first] = signature;
    for (const key of all) {
      const prefix = key.slice(0, -first.length);
      if (!key.endsWith(first) || !/^$|[./]$/.test(prefix) || found.has(`${name} ${key}`)) continue;
      const fits = signature.every((part) => all.has(prefix + part)) && !without.some((part) => all.has(prefix + part));
      if (fits && found.size < MOST_FOUND) found.set(`${name} ${key}`, { layout, prefix });
    }
  }
  return [...found.values()];
}
