import type { Tensor } from "../autograd/tensor.ts";
import { additiveAttention } from "../autograd/ops/additive-attention.ts";
import { add, affine, concat, matmul, mul, reshape, sigmoid, softmax, tanh, transpose } from "../autograd/ops/index.ts";
import { normal } from "../nn/init.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";

/** When and how a decoder looks at regions: `dot` after its step, by a product, `additive` before it, by a small network. */
export const ATTENTION_KINDS = ["dot", "additive"] as const;
export type AttentionKind = (typeof ATTENTION_KINDS)[number];

export interface AttentionOptions {
  readonly kind: AttentionKind;
  /** Whether additive attention decides at each word how much the picture matters (β of Xu et al.). Default false. */
  readonly gate?: boolean;
  /** Weight λ of the loss for regions that a text looks at more or less often than once in all; 1 as published, default 0. */
  readonly coverage?: number;
}

/** Attention over regions as configurations say it; its kind alone where no more is to be said. */
export type AttentionChoice = AttentionKind | AttentionOptions;

export function attentionOptions(choice: AttentionChoice): AttentionOptions {
  return typeof choice === "object" ? choice : { kind: choice };
}

/** What a decoder looks at, and how. */
export interface RegionAttentionConfig extends AttentionOptions {
  readonly regions: number;
  readonly channels: number;
}

const PLACE_DEVIATION = 0.5; // of the initial places: about that of features behind a ReLU

/**
 * Regions [B, R, C] get learned places: features of a convolution hardly know where they lie. Several texts about one picture, B · n
 * of them that stand together by picture, look at the same regions.
 */
abstract class RegionAttention extends Module {
  readonly positions: Parameter;

  constructor(builder: Builder, { regions, channels }: RegionAttentionConfig) {
    super();
    this.positions = new Parameter(builder.device, [regions, channels], normal(builder.generator, PLACE_DEVIATION));
  }

  /** What is looked at before every word, computed once: the regions with their places, and what follows from them. */
  place(regions: Tensor): readonly Tensor[] {
    return [add(regions, this.positions)];
  }
}

/**
 * Looks at the regions that matter for the next word, after the network's step.
 *
 * Source: Luong et al. 2015, arXiv:1508.04025 (global, scaled dot product).
 */
export class DotRegionAttention extends RegionAttention {
  readonly query: Linear;
  readonly combine: Linear;

  constructor(builder: Builder, hidden: number, config: RegionAttentionConfig) {
    super(builder, config);
    this.query = new Linear(builder, hidden, config.channels);
    this.combine = new Linear(builder, hidden + config.channels, hidden);
  }

  /** y [B, T, H], regions [B, R, C] → tanh(W [y; what is seen]) [B, T, H], weights [B, T, R]. */
  forward(y: Tensor, [regions]: readonly Tensor[]): { spoken: Tensor; weights: Tensor } {
    const [batch, count, channels] = regions.shape;
    const queries = reshape(affine(this.query.forward(y), 1 / Math.sqrt(channels), 0), [batch, -1, channels]);
    const weights = softmax(matmul(queries, regions, { transposeB: true }));
    const seen = reshape(matmul(weights, regions), [...y.shape.slice(0, 2), channels]);
    return { spoken: tanh(this.combine.forward(concat([y, seen], 2))), weights: reshape(weights, [...y.shape.slice(0, 2), count]) };
  }
}

/**
 * Looks at the regions before the network's step, which gets what it saw beside the word.
 *
 * Source: Bahdanau et al. 2014, arXiv:1409.0473; over regions, with the gate β, Xu et al. 2015, arXiv:1502.03044. Of the latter's
 * output layer, which sees word and picture once more, nothing is taken over: the words follow from the hidden state alone.
 */
export class AdditiveRegionAttention extends RegionAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly score: Parameter;
  readonly gate: Linear | null;

  constructor(builder: Builder, hidden: number, config: RegionAttentionConfig) {
    super(builder, config);
    this.query = new Linear(builder, hidden, hidden);
    this.key = new Linear(builder, config.channels, hidden, { bias: false }); // the query has one
    this.score = new Parameter(builder.device, [hidden], normal(builder.generator, 1 / Math.sqrt(hidden)));
    this.gate = config.gate === true ? new Linear(builder, hidden, 1) : null;
  }

  override place(regions: Tensor): readonly Tensor[] {
    const [placed] = super.place(regions);
    return [placed, this.key.forward(placed)];
  }

  /** The state before a word h [1, B, H], regions [B, R, C] and their keys [B, R, H] → context [B, 1, C], weights [B, 1, R]. */
  forward(h: Tensor, [regions, keys]: readonly Tensor[]): { context: Tensor; weights: Tensor } {
    const before = transpose(h, [1, 0, 2]);
    const [texts] = before.shape;
    const [batch, count, channels] = regions.shape;
    const found = additiveAttention(reshape(this.query.forward(before), [batch, texts / batch, -1]), keys, regions, this.score);
    const [context, weights] = [reshape(found.context, [texts, 1, channels]), reshape(found.weights, [texts, 1, count])];
    return { context: this.gate === null ? context : mul(context, sigmoid(this.gate.forward(before))), weights };
  }
}
