import { listOf, nullable, oneOf, record, variantOf, whole, withDefault, type Reader } from "../core/schema.ts";
import { gpt2Config, recurrentConfig, regionAttention, resnetConfig, size, vitConfig } from "../models/config-schema.ts";
import type { GPT2LMHeadModel } from "../models/gpt2.ts";
import type { AttentionChoice } from "../models/region-attention.ts";
import type { Builder } from "../nn/layers.ts";
import type { CaptionModel } from "./caption-model.ts";
import { EncDec, type EncDecConfig } from "./encdec.ts";
import { Prefix, type PrefixConfig } from "./prefix.ts";
import { Story, type StoryConfig } from "./story.ts";
import { Storyteller, type StorytellerConfig } from "./storyteller.ts";
import { VisionGPT2, type VisionGPT2Config } from "./vision-gpt2.ts";

/** The five systems. */
export const SYSTEMS = ["story", "storyteller", "prefix", "cross", "encdec"] as const;
export type SystemName = (typeof SYSTEMS)[number];

/** What a model is made of; `system` says which one it is. */
export type ModelConfig =
  | ({ readonly system: "story" } & StoryConfig)
  | ({ readonly system: "storyteller" } & StorytellerConfig)
  | ({ readonly system: "prefix" } & PrefixConfig)
  | ({ readonly system: "cross" } & VisionGPT2Config)
  | ({ readonly system: "encdec" } & EncDecConfig);

/** Which parameters a part of a model has: those whose names match, where no part before it has them. */
export type Part = readonly [name: string, pattern: RegExp];

/** What there is to know of a system beside its model. */
interface System {
  /** A line for people who choose one. */
  readonly about: string;
  /** Parts that may be trained at rates of their own, or not at all. The last one takes the rest. */
  readonly parts: readonly Part[];
  /** What the names of the vision network's tensors begin with. */
  readonly vision: string;
}

const REST: Part = ["bridge", /^/];

export const SYSTEM: Readonly<Record<SystemName, System>> = {
  story: {
    about: "ResNet, one token for the picture, GPT-2: tells a short story",
    parts: [["summary", /^encoder\.cnn\.fc\./], ["encoder-top", /^encoder\.cnn\.layer4\./], ["encoder", /^encoder\./], ["embeddings", /^gpt2\.transformer\.w[tp]e\./], ["decoder", /^gpt2\./], REST],
    vision: "encoder.cnn.",
  },
  storyteller: {
    about: "ResNet features, LSTM: one sentence, the smallest and quickest",
    parts: [["encoder-top", /^backbone\.layer4\./], ["encoder", /^backbone\./], ["decoder", /^decoder\./], REST],
    vision: "backbone.",
  },
  prefix: {
    about: "frozen ViT, a few tokens for the picture, GPT-2",
    parts: [["encoder-top", /^visual_encoder\.(norm|blocks\.1[01])\./], ["encoder", /^visual_encoder\./], ["embeddings", /^text_decoder\.transformer\.w[tp]e\./], ["decoder", /^text_decoder\./], REST],
    vision: "visual_encoder.",
  },
  cross: {
    about: "ViT and GPT-2 with cross-attention in every layer",
    parts: [["encoder-top", /^encoder\.(norm|blocks\.1[01])\./], ["encoder", /^encoder\./], ["bridge", /\.crossattention\./], ["cross-norm", /\.ln_cross_attn\./], ["mlp-norm", /^decoder\..*\.ln_2\./], ["embeddings", /^decoder\.transformer\.w[tp]e\./], ["decoder", /^decoder\./]],
    vision: "encoder.",
  },
  encdec: {
    about: "ResNet, trained along or frozen, and an LSTM, GRU or RNN that reads the picture as its first word",
    parts: [["encoder-top", /^body\.layer4\./], ["encoder", /^body\./], ["decoder", /^decoder\./], REST],
    vision: "body.",
  },
};

/** The name of the part that a parameter belongs to. */
export function partOf(system: SystemName, parameter: string): string {
  return SYSTEM[system].parts.find(([, pattern]) => pattern.test(parameter))![0];
}

/** The model of a configuration, with weights drawn from the builder's generator. */
export function buildModel(builder: Builder, config: ModelConfig): CaptionModel {
  switch (config.system) {
    case "story":
      return new Story(builder, config);
    case "storyteller":
      return new Storyteller(builder, config);
    case "prefix":
      return new Prefix(builder, config);
    case "cross":
      return new VisionGPT2(builder, config);
    case "encdec":
      return new EncDec(builder, config);
    default:
      return config satisfies never;
  }
}

/** What of a configuration decides what is made of a picture: the same weights may see through other heads, or hand on other regions and layers. */
export function seeingOf(config: ModelConfig): readonly unknown[] {
  switch (config.system) {
    case "story":
    case "prefix":
      return [config.system, config.encoder];
    case "storyteller":
      return [config.system, config.backbone, config.grid];
    case "cross":
      return [config.system, config.encoder, config.looksAt];
    case "encdec":
      return [config.system, config.encoder, config.grid ?? 1];
    default:
      return config satisfies never;
  }
}

/** The GPT-2 of a model; null where the decoder is another one. */
export function gpt2Of(model: CaptionModel): GPT2LMHeadModel | null {
  if (model instanceof Story) return model.gpt2;
  if (model instanceof Prefix) return model.text_decoder;
  return model instanceof VisionGPT2 ? model.decoder : null;
}

const named = oneOf(...SYSTEMS);

export const modelConfig: Reader<ModelConfig> = variantOf<ModelConfig>("system", {
  story: record({ system: named as Reader<"story">, encoder: resnetConfig, gpt2: gpt2Config }),
  storyteller: record({ system: named as Reader<"storyteller">, backbone: nullable(resnetConfig), grid: size, features: whole(0), attention: regionAttention, decoder: recurrentConfig }),
  prefix: record({ system: named as Reader<"prefix">, encoder: vitConfig, embedding: size, hidden: listOf(size), tokens: size, layers: whole(0), heads: size, feedForward: whole(0), gpt2: gpt2Config }),
  cross: record({ system: named as Reader<"cross">, encoder: vitConfig, decoder: gpt2Config, looksAt: oneOf("last", "each") }),
  encdec: record({ system: named as Reader<"encdec">, encoder: resnetConfig, grid: withDefault<number | undefined>(size, undefined), attention: withDefault<AttentionChoice | null | undefined>(regionAttention, undefined), decoder: recurrentConfig }),
});
