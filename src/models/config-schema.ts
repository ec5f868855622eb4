/** Readers of models' configurations, for checkpoints and configuration files. */

import { flag, listOf, nullable, number, oneOf, record, variantOf, whole, withDefault, type Reader } from "../core/schema.ts";
import type { GPT2Config } from "./gpt2.ts";
import type { RecurrentDecoderConfig } from "./lstm.ts";
import { ATTENTION_KINDS, type AttentionChoice, type AttentionOptions } from "./region-attention.ts";
import type { ResNetConfig } from "./resnet.ts";
import type { ViTConfig } from "./vit.ts";

const MOST = 2 ** 20; // wider or longer than any of these models: a damaged file must not ask for terabytes

/** A size of at least 1. */
export const size = whole(1, MOST);

const count = whole(0, MOST);

export const resnetConfig: Reader<ResNetConfig> = record<ResNetConfig>({
  block: oneOf("basic", "bottleneck"),
  layers: listOf(count, { least: 4, most: 4 }) as unknown as Reader<ResNetConfig["layers"]>,
  width: size,
  stem: oneOf("imagenet", "small", "small-stride2"),
  classes: count,
  grid: withDefault<number | undefined>(whole(1, 64), undefined),
});

export const vitConfig: Reader<ViTConfig> = record<ViTConfig>({
  image: size,
  patch: size,
  dim: size,
  depth: count,
  heads: size,
  mlp: size,
  qkvBias: flag,
  eps: number(0, 1),
  pool: oneOf("cls", "mean"),
  norm: flag,
  pooler: flag,
  classes: count,
});

export const gpt2Config: Reader<GPT2Config> = record<GPT2Config>({
  vocabulary: size,
  positions: size,
  dim: size,
  layers: count,
  heads: size,
  mlp: size,
  eps: number(0, 1),
  activation: oneOf("gelu_tanh", "gelu"),
  crossAttention: nullable(size),
  dropout: withDefault<number | undefined>(number(0, 0.99), undefined),
});

export const recurrentConfig = record<Omit<RecurrentDecoderConfig, "attention">>({
  cell: oneOf("lstm", "gru", "rnn"),
  vocabulary: size,
  embedding: size,
  hidden: size,
});

const coverage = withDefault<number | undefined>(number(0, 1000), undefined);
const attentionKind = oneOf(...ATTENTION_KINDS);
const attentionRecord = variantOf<AttentionOptions>("kind", {
  dot: record<Omit<AttentionOptions, "gate">>({ kind: attentionKind, coverage }),
  additive: record<AttentionOptions>({ kind: attentionKind, gate: withDefault<boolean | undefined>(flag, undefined), coverage }),
});

/** Attention over regions; null for none. */
export const regionAttention: Reader<AttentionChoice | null> = nullable((value, at) => (typeof value === "object" ? attentionRecord(value, at) : attentionKind(value, at)));
