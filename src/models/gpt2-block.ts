import type { Tensor } from "../autograd/tensor.ts";
import { packedCachedAttention, type KeyValueCache } from "../autograd/ops/attention-decode.ts";
import { add, affine, attention, gelu, geluTanh, matmul, packedSelfAttention, reshape, softmax, split, transpose } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import { Conv1D, Dropout, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { LayerNorm } from "../nn/norm.ts";
import type { GPT2Config } from "./gpt2.ts";

/** Self attention: each position looks at itself and those before. x [B, T, dim] → [B, T, dim]. */
class SelfAttention extends Module {
  readonly c_attn: Conv1D;
  readonly c_proj: Conv1D;
  private readonly heads: number;

  constructor(builder: Builder, { dim, heads, layers }: GPT2Config) {
    super();
    this.c_attn = new Conv1D(builder, dim, 3 * dim);
    this.c_proj = new Conv1D(builder, dim, dim, residual(layers));
    this.heads = heads;
  }

  forward(x: Tensor, keyMask?: Tensor): Tensor {
    return this.c_proj.forward(packedSelfAttention(this.c_attn.forward(x), this.heads, { causal: true, keyMask }));
  }

  /** The same for positions that follow those of the cache, which takes them in. */
  extend(x: Tensor, cache: KeyValueCache, position: Tensor, keyMask?: Tensor): Tensor {
    return this.c_proj.forward(packedCachedAttention(this.c_attn.forward(x), cache, position, { keyMask }));
  }
}

/**
 * Cross-attention: each position looks at all of the encoder's. x [B, T, dim], encoded [B, S, E] → [B, T, dim]. Several texts about
 * one picture, B · n rows of x that stand together by picture, look at the same keys and values.
 */
class CrossAttention extends Module {
  readonly c_attn: Conv1D;
  readonly q_attn: Conv1D;
  readonly c_proj: Conv1D;
  private readonly heads: number;

  constructor(builder: Builder, { dim, heads, layers }: GPT2Config, encoded: number) {
    super();
    this.c_attn = new Conv1D(builder, encoded, 2 * dim);
    this.q_attn = new Conv1D(builder, dim, dim);
    this.c_proj = new Conv1D(builder, dim, dim, residual(layers));
    this.heads = heads;
  }

  /** Keys and values [B, S, heads, D] of what is looked at. */
  keysAndValues(encoded: Tensor): KeyValueCache {
    const [keys, values] = split(this.c_attn.forward(encoded), this.q_attn.bias.size, 2).map((part) => this.inHeads(part));
    return { keys, values };
  }

  forward(x: Tensor, { keys, values }: KeyValueCache): Tensor {
    const [batch, , heads, headSize] = keys.shape;
    const y = attention(reshape(this.q_attn.forward(x), [batch, -1, heads, headSize]), keys, values, { layout: "bthd" });
    return this.c_proj.forward(reshape(y, x.shape));
  }

  /** The weights that {@link forward} takes the mean of the values with: [B, heads, T, S]. */
  weights(x: Tensor, { keys }: KeyValueCache): Tensor {
    const [q, k] = [this.inHeads(this.q_attn.forward(x)), keys].map((part) => transpose(part, [0, 2, 1, 3]));
    return softmax(matmul(affine(q, 1 / Math.sqrt(q.shape[3]), 0), k, { transposeB: true }));
  }

  /** [B, T, dim] → [B, T, heads, D]. */
  private inHeads(x: Tensor): Tensor {
    const [batch, length, dim] = x.shape;
    return reshape(x, [batch, length, this.heads, dim / this.heads]);
  }
}

/** c_proj(gelu(c_fc x)). x [..., dim] → [..., dim]. */
class GPT2MLP extends Module {
  readonly c_fc: Conv1D;
  readonly c_proj: Conv1D;
  private readonly activation: GPT2Config["activation"];

  constructor(builder: Builder, { dim, layers, mlp, activation }: GPT2Config) {
    super();
    this.c_fc = new Conv1D(builder, dim, mlp);
    this.c_proj = new Conv1D(builder, mlp, dim, residual(layers));
    this.activation = activation;
  }

  forward(x: Tensor): Tensor {
    const hidden = this.c_fc.forward(x);
    return this.c_proj.forward(this.activation === "gelu" ? gelu(hidden) : geluTanh(hidden));
  }
}

/** Initial deviation of what is added to the residual stream 2 · layers times. */
function residual(layers: number): { deviation: number } {
  return { deviation: 0.02 / Math.sqrt(2 * layers) };
}

/** What drops values in training; null where nothing does. @throws ShapeError if there is no generator to draw with. */
export function dropoutOf({ random }: Builder, { dropout = 0 }: GPT2Config): Dropout | null {
  if (dropout === 0) return null;
  if (random === undefined) throw new ShapeError(`GPT2Model: dropout ${dropout} needs something that draws what is dropped; got none`, "pass `random`, a DeviceGenerator, with the builder");
  return new Dropout(random, dropout);
}

/** x += attn(ln_1 x); x += crossattention(ln_cross_attn x), where there is one; x += mlp(ln_2 x); each with dropout. */
export class GPT2Block extends Module {
  readonly ln_1: LayerNorm;
  readonly attn: SelfAttention;
  readonly ln_cross_attn: LayerNorm | null;
  readonly crossattention: CrossAttention | null;
  readonly ln_2: LayerNorm;
  readonly mlp: GPT2MLP;
  readonly dropout: Dropout | null;

  constructor(builder: Builder, config: GPT2Config) {
    super();
    const { dim, eps, crossAttention } = config;
    this.ln_1 = new LayerNorm(builder, dim, { eps });
    this.attn = new SelfAttention(builder, config);
    this.ln_cross_attn = crossAttention === null ? null : new LayerNorm(builder, dim, { eps });
    this.crossattention = crossAttention === null ? null : new CrossAttention(builder, config, crossAttention);
    this.ln_2 = new LayerNorm(builder, dim, { eps });
    this.mlp = new GPT2MLP(builder, config);
    this.dropout = dropoutOf(builder, config);
  }

  /**
   * x [B, T, dim] → [B, T, dim].
   * @param attend Self attention over the normed x.
   * @param encoded Keys and values of what the block looks at.
   */
  forward(x: Tensor, attend: (x: Tensor) => Tensor, encoded?: KeyValueCache): Tensor {
    const attended = this.afterSelfAttention(x, attend);
    const seen = this.crossattention === null ? attended : this.add(attended, this.crossattention.forward(this.ln_cross_attn!.forward(attended), encoded!));
    return this.add(seen, this.mlp.forward(this.ln_2.forward(seen)));
  }

  /** Where the block looks: the weights of its cross-attention, each row of which sums to 1. As {@link forward} → [B, heads, T, S]. */
  lookingAt(x: Tensor, attend: (x: Tensor) => Tensor, encoded: KeyValueCache): Tensor {
    return this.crossattention!.weights(this.ln_cross_attn!.forward(this.afterSelfAttention(x, attend)), encoded);
  }

  private afterSelfAttention(x: Tensor, attend: (x: Tensor) => Tensor): Tensor {
    return this.add(x, attend(this.ln_1.forward(x)));
  }

  private add(x: Tensor, part: Tensor): Tensor {
    return add(x, this.dropout === null ? part : this.dropout.forward(part));
  }
}
