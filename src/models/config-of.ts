/** Configurations of models from the shapes of published tensors: nothing but the shapes has to be known, and the number of heads. */

import { InputError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { GPT2Config } from "./gpt2.ts";
import type { RecurrentDecoderConfig } from "./lstm.ts";
import type { ResNetConfig } from "./resnet.ts";
import type { ViTConfig } from "./vit.ts";

/** The shape of the model's tensor of that name; undefined where there is none. */
export type ShapeOf = (key: string) => Shape | undefined;

/** Width of a head in every published ViT and GPT-2. */
const HEAD = 64;

function required(shapeOf: ShapeOf, key: string): Shape {
  const shape = shapeOf(key);
  if (shape === undefined) throw new InputError(`the weights must hold "${key}" to tell how large the model is; got none`, "choose a file of such a model");
  return shape;
}

/** How many blocks there are: `key` makes the name of a tensor in the i-th. */
function count(shapeOf: ShapeOf, key: (i: number) => string): number {
  let i = 0;
  while (shapeOf(key(i)) !== undefined) i++;
  return i;
}

function headsOf(dim: number, heads?: number): number {
  if (heads === undefined && dim % HEAD !== 0) throw new InputError(`the number of heads must be known for a width of ${dim}, which is no multiple of ${HEAD}; got none`, "no tensor tells it: give it, or the config.json of the model");
  const known = heads ?? dim / HEAD;
  if (Number.isInteger(known) && known >= 1 && dim % known === 0) return known;
  throw new InputError(`heads must divide the width ${dim}; got ${known}`, "no tensor tells how many there are: correct the config.json of the model");
}

/** A ResNet's; a 3×3 stem counts as one with stride 1. @throws InputError if tensors are missing. */
export function resnetConfigOf(shapeOf: ShapeOf): ResNetConfig {
  const [width, , kernel] = required(shapeOf, "conv1.weight");
  const stage = (number: number): number => count(shapeOf, (i) => `layer${number}.${i}.conv1.weight`);
  return {
    block: shapeOf("layer1.0.conv3.weight") === undefined ? "basic" : "bottleneck",
    layers: [stage(1), stage(2), stage(3), stage(4)],
    width,
    stem: kernel === 7 ? "imagenet" : "small",
    classes: shapeOf("fc.weight")?.[0] ?? 0,
  };
}

/** What no shape of a ViT tells. */
export interface ViTHints {
  /** Default: one for each 64 of the width. */
  readonly heads?: number;
  /** Default 1e-6. */
  readonly eps?: number;
}

/** A ViT's. @throws InputError if tensors are missing, or the heads don't divide the width. */
export function vitConfigOf(shapeOf: ShapeOf, { heads, eps = 1e-6 }: ViTHints = {}): ViTConfig {
  const [, tokens, dim] = required(shapeOf, "pos_embed");
  const [, , patch] = required(shapeOf, "patch_embed.proj.weight");
  const [mlp] = required(shapeOf, "blocks.0.mlp.fc1.weight");
  const side = Math.sqrt(tokens - 1);
  if (!Number.isInteger(side)) throw new InputError(`"pos_embed" must have places for a class token and n × n patches; got ${tokens} places`, "ViTs without a class token, or with more of them, are not supported");
  const mean = shapeOf("fc_norm.weight") !== undefined;
  return {
    image: side * patch,
    patch,
    dim,
    depth: count(shapeOf, (i) => `blocks.${i}.norm1.weight`),
    heads: headsOf(dim, heads),
    mlp,
    qkvBias: shapeOf("blocks.0.attn.qkv.bias") !== undefined,
    eps,
    pool: mean ? "mean" : "cls",
    norm: mean || shapeOf("norm.weight") !== undefined,
    pooler: shapeOf("pooler.dense.weight") !== undefined,
    classes: shapeOf("head.weight")?.[0] ?? 0,
  };
}

/** What no shape of a GPT-2 tells. */
export interface GPT2Hints {
  /** Default: one for each 64 of the width. */
  readonly heads?: number;
  /** Default 1e-5. */
  readonly eps?: number;
  /** Default: the approximation by tanh. */
  readonly activation?: GPT2Config["activation"];
}

/** A GPT-2's. @throws InputError if tensors are missing, or the heads don't divide the width. */
export function gpt2ConfigOf(shapeOf: ShapeOf, { heads, eps = 1e-5, activation = "gelu_tanh" }: GPT2Hints = {}): GPT2Config {
  const [vocabulary, dim] = required(shapeOf, "transformer.wte.weight");
  const [positions] = required(shapeOf, "transformer.wpe.weight");
  return {
    vocabulary,
    positions,
    dim,
    layers: count(shapeOf, (i) => `transformer.h.${i}.ln_1.weight`),
    heads: headsOf(dim, heads),
    mlp: required(shapeOf, "transformer.h.0.mlp.c_fc.weight")[1],
    eps,
    activation,
    crossAttention: shapeOf("transformer.h.0.crossattention.c_attn.weight")?.[0] ?? null,
  };
}

/** A recurrent decoder's, without attention. @throws InputError if tensors are missing. */
export function recurrentConfigOf(shapeOf: ShapeOf): Omit<RecurrentDecoderConfig, "attention"> {
  const [vocabulary, embedding] = required(shapeOf, "embedding.weight");
  const [, hidden] = required(shapeOf, "fc.weight");
  const gates = { 4: "lstm", 3: "gru", 1: "rnn" } as const;
  const cell = (["lstm", "gru", "rnn"] as const).find((name) => {
    const rows = shapeOf(`${name}.weight_ih_l0`)?.[0];
    return rows !== undefined && gates[(rows / hidden) as keyof typeof gates] === name;
  });
  if (cell === undefined) throw new InputError(`the weights must hold an LSTM, a GRU or an RNN of ${hidden} hidden units; got none`, "choose a file of such a model");
  return { cell, vocabulary, embedding, hidden };
}
