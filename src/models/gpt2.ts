import { checkpointed } from "../autograd/checkpointed.ts";
import type { KeyValueCache } from "../autograd/ops/attention-decode.ts";
import { add, linearCrossEntropy, reshape, slice } from "../autograd/ops/index.ts";
import { allocateTensor, tensor, type Tensor } from "../autograd/tensor.ts";
import { ShapeError } from "../core/errors.ts";
import type { Device } from "../device/device.ts";
import { Embedding, type Builder, type Dropout } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { LayerNorm } from "../nn/norm.ts";
import { dropoutOf, GPT2Block } from "./gpt2-block.ts";

/**
 * GPT-2, with Hugging Face's fields and weights [in, out], so that its checkpoints load as they are.
 *
 * Source: Radford et al. 2019, "Language models are unsupervised multitask learners"; cross-attention as in Hugging Face's
 * VisionEncoderDecoder. Norms stand before each part of a block, and the head is the word table itself.
 */
export interface GPT2Config {
  readonly vocabulary: number;
  /** Longest text, tokens. */
  readonly positions: number;
  readonly dim: number;
  readonly layers: number;
  readonly heads: number;
  /** Width of the hidden layer of a block; 4 · dim in all published ones. */
  readonly mlp: number;
  /** Of the layer norms. */
  readonly eps: number;
  /** GPT-2 itself has the approximation by tanh. */
  readonly activation: "gelu_tanh" | "gelu";
  /** Width of what each block looks at beside the text; null for a language model alone. */
  readonly crossAttention: number | null;
  /**
   * Chance that a value of the embeddings, or of what a block adds to the residual stream, is dropped in training; default 0, published
   * 0.1. The published model drops attention's probabilities too; here they are never stored, forward or backward, and none is dropped.
   */
  readonly dropout?: number;
}

const GPT2_COMMON = { vocabulary: 50257, positions: 1024, eps: 1e-5, activation: "gelu_tanh", crossAttention: null } as const;

export const GPT2 = {
  /** 124 million parameters. */
  gpt2: { ...GPT2_COMMON, dim: 768, layers: 12, heads: 12, mlp: 3072 },
  /** 355 million. */
  gpt2Medium: { ...GPT2_COMMON, dim: 1024, layers: 24, heads: 16, mlp: 4096 },
  /** 774 million. */
  gpt2Large: { ...GPT2_COMMON, dim: 1280, layers: 36, heads: 20, mlp: 5120 },
  /** 1.6 billion. */
  gpt2Xl: { ...GPT2_COMMON, dim: 1600, layers: 48, heads: 25, mlp: 6400 },
  /** 82 million. */
  distilGpt2: { ...GPT2_COMMON, dim: 768, layers: 6, heads: 12, mlp: 3072 },
} as const satisfies Record<string, GPT2Config>;

/** The label of positions that no loss is asked for. */
export const IGNORED = -100;

/** What a block has to do with beside its input. */
export interface GPT2Context {
  /** [B, T] of any type: 0 where nobody may attend to a token, such as padding; with a cache [B, Tmax]. */
  readonly keyMask?: Tensor;
  /** What all blocks look at [B, S, E], or one tensor for each block. */
  readonly encoded?: Tensor | readonly Tensor[];
}

/** What a decoder keeps of the text so far, so that a new token costs one position's work. */
export interface GPT2Cache {
  /** How many positions there are, for each row [B] i32. */
  readonly position: Tensor;
  /** Keys and values of each block [B, heads, Tmax, D]. */
  readonly blocks: readonly KeyValueCache[];
  /** Keys and values [B, S, heads, D] of what each block looks at. */
  readonly encoded: readonly KeyValueCache[];
}

/** The blocks of GPT-2, from token embeddings to normed hidden states. */
export class GPT2Model extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding;
  readonly h: readonly GPT2Block[];
  readonly ln_f: LayerNorm;
  readonly drop: Dropout | null;
  readonly config: GPT2Config;

  /** @throws ShapeError if the heads don't divide the width, or there is dropout and nothing that draws for it. */
  constructor(builder: Builder, config: GPT2Config) {
    super();
    const { vocabulary, positions, dim, layers, heads, eps } = config;
    if (dim % heads !== 0) throw new ShapeError(`GPT2Model: dim must be a multiple of heads; got ${dim} of ${heads}`);
    this.config = config;
    this.wte = new Embedding(builder, vocabulary, dim, { deviation: 0.02 });
    this.wpe = new Embedding(builder, positions, dim, { deviation: 0.01 });
    this.h = Array.from({ length: layers }, () => new GPT2Block(builder, config));
    this.ln_f = new LayerNorm(builder, dim, { eps });
    this.drop = dropoutOf(builder, config);
  }

  /**
   * All hidden states: with its places, after each block but the last, and after the last one and its norm.
   *
   * x [B, T, dim], the embeddings of tokens, or whatever stands in their place → layers + 1 tensors [B, T, dim].
   * @throws ShapeError if the text is too long, or what a block needs is missing.
   */
  hidden(x: Tensor, { keyMask, encoded }: GPT2Context = {}): Tensor[] {
    const [, length] = x.shape;
    this.requireRoom(length);
    const embedded = add(x, this.wpe.forward(countUp(x.device, length)));
    const states = [this.drop === null ? embedded : this.drop.forward(embedded)];
    const seen = this.look(encoded);
    this.h.forEach((block, i) => {
      const pass = (x: Tensor, keys?: Tensor, values?: Tensor): Tensor[] => [block.forward(x, (normed) => block.attn.forward(normed, keyMask), keys && { keys, values: values! })];
      const inputs = [states[i], ...(i in seen ? [seen[i].keys, seen[i].values] : [])] as const;
      states.push(...(this.checkpointing ? checkpointed(pass, inputs) : pass(...inputs)));
    });
    return states.with(-1, this.ln_f.forward(states.at(-1)!));
  }

  /** Where each block looks while it makes of x what {@link hidden} gives: weights over what is encoded [B, heads, T, S]. */
  lookingAt(x: Tensor, context: GPT2Context): Tensor[] {
    const states = this.hidden(x, context);
    return this.look(context.encoded).map((encoded, i) => this.h[i].lookingAt(states[i], (normed) => this.h[i].attn.forward(normed, context.keyMask), encoded));
  }

  /** An empty cache for texts of at most `length` tokens; it belongs to the scope or recording that is open. */
  cache(batch: number, length: number, { encoded }: GPT2Context = {}): GPT2Cache {
    const { dim, heads } = this.config;
    const { device } = this.ln_f.weight;
    this.requireRoom(length);
    const empty = (label: string): Tensor => allocateTensor(device, { shape: [batch, heads, length, dim / heads], dtype: "f32" }, label);
    return {
      position: tensor(device, new Int32Array(batch), [batch]),
      blocks: this.h.map(() => ({ keys: empty("cached keys"), values: empty("cached values") })),
      encoded: this.look(encoded),
    };
  }

  /**
   * Hidden states of positions that follow those of the cache, which takes them in; no gradient.
   *
   * x [B, T, dim] → [B, T, dim], and the cache with T more positions. Its work does not depend on how many there were, but
   * for attention itself. Of positions beyond the cache's room, all is NaN.
   * @throws ShapeError for more positions at once than the cache has room for.
   */
  extend(x: Tensor, cache: GPT2Cache, keyMask?: Tensor): { hidden: Tensor; cache: GPT2Cache } {
    const [batch, length] = x.shape;
    const [{ keys }] = cache.blocks;
    if (length > keys.shape[2]) throw new ShapeError(`GPT2Model: the cache has room for ${keys.shape[2]} tokens; got ${length}`, "shorten the text, or make the cache longer");
    const places = add(reshape(cache.position, [batch, 1]), countUp(x.device, length));
    let state = add(x, this.wpe.forward(places));
    this.h.forEach((block, i) => {
      state = block.forward(state, (normed) => block.attn.extend(normed, cache.blocks[i], cache.position, keyMask), cache.encoded[i]);
    });
    const position = add(cache.position, tensor(x.device, Int32Array.of(length), [1]));
    return { hidden: this.ln_f.forward(state), cache: { ...cache, position } };
  }

  /** Keys and values for each block's cross-attention. */
  private look(encoded: GPT2Context["encoded"]): KeyValueCache[] {
    if (this.config.crossAttention === null) return [];
    if (encoded === undefined) throw new ShapeError("GPT2Model: a model with cross-attention needs what it shall look at [B, S, E]; got none", "pass `encoded`");
    if (!("shape" in encoded) && encoded.length !== this.h.length) throw new ShapeError(`GPT2Model: encoded must be one tensor, or one for each of ${this.h.length} blocks; got ${encoded.length}`);
    return this.h.map(({ crossattention }, i) => crossattention!.keysAndValues("shape" in encoded ? encoded : encoded[i]));
  }

  private requireRoom(length: number): void {
    const { positions } = this.config;
    if (length > positions) throw new ShapeError(`GPT2Model: a text must have at most ${positions} tokens; got ${length}`, "shorten it");
  }
}

/** 0 … length − 1, i32 [1, length]. */
function countUp(device: Device, length: number): Tensor {
  return tensor(device, Int32Array.from({ length }, (_, i) => i), [1, length]);
}

/** Tokens [B, T] i32 → logits [B, T, V] of the token after each. */
export class GPT2LMHeadModel extends Module {
  readonly transformer: GPT2Model;

  constructor(builder: Builder, config: GPT2Config) {
    super();
    this.transformer = new GPT2Model(builder, config);
  }

  /** ids [B, T] i32 → [B, T, dim], for {@link GPT2Model.hidden}. */
  embed(ids: Tensor): Tensor {
    return this.transformer.wte.forward(ids);
  }

  /** Hidden states [..., dim] → logits [..., V], by the table of the words. */
  head(hidden: Tensor): Tensor {
    return this.transformer.wte.project(hidden);
  }

  /** @throws ShapeError if the text is too long, or what a block needs is missing. */
  forward(ids: Tensor, context: GPT2Context = {}): Tensor {
    return this.head(this.transformer.hidden(this.embed(ids), context).at(-1)!);
  }

  /**
   * Mean cross-entropy of the tokens that follow the last N positions; the logits are never stored whole.
   *
   * x [B, T, dim], next [B, N] i32 with N ≤ T, {@link IGNORED} where none is asked for → [].
   */
  loss(x: Tensor, next: Tensor, context: GPT2Context = {}): Tensor {
    const [batch, length, dim] = x.shape;
    const [, asked] = next.shape;
    const hidden = slice(this.transformer.hidden(x, context).at(-1)!, 1, length - asked, length);
    return linearCrossEntropy(reshape(hidden, [batch * asked, dim]), this.transformer.wte.weight, reshape(next, [batch * asked]), { ignoreIndex: IGNORED });
  }
}
