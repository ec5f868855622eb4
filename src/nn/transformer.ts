import type { Tensor } from "../autograd/tensor.ts";
import { add, gelu, linear, packedSelfAttention } from "../autograd/ops/index.ts";
import { constant, defaultWeight } from "./init.ts";
import { Linear, type Builder } from "./layers.ts";
import { Module, Parameter } from "./module.ts";
import { LayerNorm } from "./norm.ts";

/** Self attention of several heads. x [B, T, D] → [B, T, D]. Names as in torch.nn.MultiheadAttention. */
export class MultiheadAttention extends Module {
  readonly in_proj_weight: Parameter;
  readonly in_proj_bias: Parameter;
  readonly out_proj: Linear;
  private readonly heads: number;

  constructor(builder: Builder, dim: number, heads: number) {
    super();
    this.in_proj_weight = new Parameter(builder.device, [3 * dim, dim], defaultWeight(builder.generator));
    this.in_proj_bias = new Parameter(builder.device, [3 * dim], constant(0));
    this.out_proj = new Linear(builder, dim, dim);
    this.heads = heads;
  }

  forward(x: Tensor): Tensor {
    return this.out_proj.forward(packedSelfAttention(linear(x, this.in_proj_weight, this.in_proj_bias), this.heads));
  }
}

export interface TransformerEncoderLayerOptions {
  readonly heads: number;
  /** Width of the hidden layer. */
  readonly feedForward: number;
}

/**
 * x = norm1(x + self_attn x); x = norm2(x + linear2(gelu(linear1 x))). x [B, T, D] → [B, T, D].
 *
 * Norms stand behind each half, GELU is the exact one; names as in torch.nn.TransformerEncoderLayer.
 * Source: Vaswani et al. 2017, "Attention is all you need", arXiv:1706.03762.
 */
export class TransformerEncoderLayer extends Module {
  readonly self_attn: MultiheadAttention;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;

  constructor(builder: Builder, dim: number, { heads, feedForward }: TransformerEncoderLayerOptions) {
    super();
    this.self_attn = new MultiheadAttention(builder, dim, heads);
    this.linear1 = new Linear(builder, dim, feedForward);
    this.linear2 = new Linear(builder, feedForward, dim);
    this.norm1 = new LayerNorm(builder, dim);
    this.norm2 = new LayerNorm(builder, dim);
  }

  forward(x: Tensor): Tensor {
    const attended = this.norm1.forward(add(x, this.self_attn.forward(x)));
    return this.norm2.forward(add(attended, this.linear2.forward(gelu(this.linear1.forward(attended)))));
  }
}
