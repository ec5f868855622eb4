import { checkpointed } from "../autograd/checkpointed.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { add, affine, concat, expand, gelu, matmul, mean, packedSelfAttention, reshape, slice, softmax, split, tanh, transpose } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import { constant, normal } from "../nn/init.ts";
import { Conv2d, Linear, type Builder } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { LayerNorm } from "../nn/norm.ts";

/**
 * Vision transformers, with timm's fields, so that its checkpoints load as they are; Hugging Face's through a key map.
 *
 * Source: Dosovitskiy et al. 2020, "An image is worth 16x16 words", arXiv:2010.11929. Norms stand before each half of a
 * block, GELU is the exact one, and q, k and v come out of one linear layer.
 */
export interface ViTConfig {
  /** Side of the pictures, pixels; a multiple of `patch`. */
  readonly image: number;
  /** Side of a patch, pixels. */
  readonly patch: number;
  readonly dim: number;
  readonly depth: number;
  readonly heads: number;
  /** Width of the hidden layer of a block; 4 · dim in all published ones. */
  readonly mlp: number;
  /** Whether q, k and v have a bias; all published ones do. */
  readonly qkvBias: boolean;
  /** Of the layer norms: 1e-6 in timm, 1e-12 in Hugging Face. */
  readonly eps: number;
  /** What stands for the picture: the class token, or the mean of the patches, which is normed after it. */
  readonly pool: "cls" | "mean";
  /** Whether there is a norm after the last block. */
  readonly norm: boolean;
  /** Hugging Face's dense layer with tanh over the class token. */
  readonly pooler: boolean;
  /** Outputs of the linear head; 0 for none. */
  readonly classes: number;
}

const TIMM = { image: 224, patch: 16, qkvBias: true, eps: 1e-6, pool: "cls", norm: true, pooler: false, classes: 1000 } as const;
const HUGGING_FACE = { ...TIMM, eps: 1e-12, pooler: true, classes: 0 } as const;
const TINY = { dim: 192, depth: 12, heads: 3, mlp: 768 } as const;
const SMALL = { dim: 384, depth: 12, heads: 6, mlp: 1536 } as const;
const BASE = { dim: 768, depth: 12, heads: 12, mlp: 3072 } as const;

export const VIT = {
  /** timm's vit_{tiny,small,base}_patch16_224. */
  vitTiny: { ...TIMM, ...TINY },
  vitSmall: { ...TIMM, ...SMALL },
  vitBase: { ...TIMM, ...BASE },
  /** google/vit-base-patch16-224-in21k, and the encoder of nlpconnect/vit-gpt2-image-captioning. */
  vitBaseHuggingFace: { ...HUGGING_FACE, ...BASE },
} as const satisfies Record<string, ViTConfig>;

/** Cuts a picture into patches and projects each. x [B, 3, H, W] → [B, N, dim]. */
export class PatchEmbed extends Module {
  readonly proj: Conv2d;

  constructor(builder: Builder, patch: number, dim: number) {
    super();
    this.proj = new Conv2d(builder, 3, dim, patch, { stride: patch });
  }

  forward(x: Tensor): Tensor {
    const maps = this.proj.forward(x);
    return transpose(reshape(maps, [maps.shape[0], maps.shape[1], -1]));
  }
}

/** Multi-head self attention: every token looks at every token. x [B, N, dim] → [B, N, dim]. */
export class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  private readonly heads: number;

  constructor(builder: Builder, { dim, heads, qkvBias }: ViTConfig) {
    super();
    this.qkv = new Linear(builder, dim, 3 * dim, { bias: qkvBias });
    this.proj = new Linear(builder, dim, dim);
    this.heads = heads;
  }

  forward(x: Tensor): Tensor {
    return this.proj.forward(packedSelfAttention(this.qkv.forward(x), this.heads));
  }

  /** The weights that {@link forward} takes the mean of the values with: [B, heads, N, N]. */
  weights(x: Tensor): Tensor {
    const [batch, count, dim] = x.shape;
    const [q, k] = split(this.qkv.forward(x), dim, 2).map((part) => transpose(reshape(part, [batch, count, this.heads, dim / this.heads]), [0, 2, 1, 3]));
    return softmax(matmul(affine(q, 1 / Math.sqrt(q.shape[3]), 0), k, { transposeB: true }));
  }
}

/** fc2(gelu(fc1 x)). x [..., dim] → [..., dim]. */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(builder: Builder, dim: number, hidden: number) {
    super();
    this.fc1 = new Linear(builder, dim, hidden);
    this.fc2 = new Linear(builder, hidden, dim);
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(gelu(this.fc1.forward(x)));
  }
}

/** x += attn(norm1 x); x += mlp(norm2 x). x [B, N, dim] → [B, N, dim]. */
export class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;

  constructor(builder: Builder, config: ViTConfig) {
    super();
    const { dim, mlp, eps } = config;
    this.norm1 = new LayerNorm(builder, dim, { eps });
    this.attn = new Attention(builder, config);
    this.norm2 = new LayerNorm(builder, dim, { eps });
    this.mlp = new Mlp(builder, dim, mlp);
  }

  forward(x: Tensor): Tensor {
    const attended = add(x, this.attn.forward(this.norm1.forward(x)));
    return add(attended, this.mlp.forward(this.norm2.forward(attended)));
  }

  /** Where each token looks: weights whose rows sum to 1. As {@link forward} → [B, heads, N, N]. */
  lookingAt(x: Tensor): Tensor {
    return this.attn.weights(this.norm1.forward(x));
  }
}

/** Hugging Face's summary of a picture: tanh(dense(class token)). x [B, dim] → [B, dim]. */
class Pooler extends Module {
  readonly dense: Linear;

  constructor(builder: Builder, dim: number) {
    super();
    this.dense = new Linear(builder, dim, dim);
  }

  forward(x: Tensor): Tensor {
    return tanh(this.dense.forward(x));
  }
}

/** Every intermediate of a ViT by its name; token 0 is the class token, where there is one. */
export interface ViTFeatures {
  /** Patches with their places [B, N, dim]. */
  readonly embedded: Tensor;
  /** What each block puts out [B, N, dim]. */
  readonly blocks: readonly Tensor[];
  /** After the last norm, where there is one [B, N, dim]. */
  readonly tokens: Tensor;
  /** The picture as a whole [B, dim]. */
  readonly pooled: Tensor;
}

/** Pictures [B, 3, image, image] → logits [B, classes], or intermediates by {@link features}. */
export class VisionTransformer extends Module {
  readonly cls_token: Parameter;
  readonly pos_embed: Parameter;
  readonly patch_embed: PatchEmbed;
  readonly blocks: readonly Block[];
  readonly norm: LayerNorm | null;
  readonly fc_norm: LayerNorm | null;
  readonly pooler: Pooler | null;
  readonly head: Linear | null;
  readonly config: ViTConfig;

  /** @throws ShapeError if patches don't fill the picture, or heads the width. */
  constructor(builder: Builder, config: ViTConfig) {
    super();
    const { image, patch, dim, depth, heads, eps, pool, norm, pooler, classes } = config;
    if (image % patch !== 0 || dim % heads !== 0) {
      throw new ShapeError(`VisionTransformer: image must be a multiple of patch, and dim of heads; got ${image} of ${patch}, ${dim} of ${heads}`);
    }
    const { device, generator } = builder;
    const tokens = (image / patch) ** 2 + 1;
    this.config = config;
    this.cls_token = new Parameter(device, [1, 1, dim], constant(0));
    this.pos_embed = new Parameter(device, [1, tokens, dim], normal(generator, 0.02));
    this.patch_embed = new PatchEmbed(builder, patch, dim);
    this.blocks = Array.from({ length: depth }, () => new Block(builder, config));
    this.norm = norm && pool === "cls" ? new LayerNorm(builder, dim, { eps }) : null;
    this.fc_norm = norm && pool === "mean" ? new LayerNorm(builder, dim, { eps }) : null;
    this.pooler = pooler ? new Pooler(builder, dim) : null;
    this.head = classes > 0 ? new Linear(builder, dim, classes) : null;
  }

  /**
   * All intermediates. x [B, 3, image, image] → tokens [B, N, dim], pooled [B, dim].
   * @throws ShapeError for pictures of another size.
   */
  features(x: Tensor): ViTFeatures {
    const { image, dim } = this.config;
    const [batch, ...picture] = x.shape;
    if (showShape(picture) !== showShape([3, image, image])) {
      throw new ShapeError(`VisionTransformer: pictures must be [B, 3, ${image}, ${image}]; got ${showShape(x.shape)}`, "resize them");
    }
    const classToken = expand(this.cls_token, [batch, 1, dim]);
    const embedded = add(concat([classToken, this.patch_embed.forward(x)], 1), this.pos_embed);
    const blocks: Tensor[] = [];
    for (const block of this.blocks) {
      const pass = (x: Tensor): Tensor[] => [block.forward(x)];
      const x = blocks.at(-1) ?? embedded;
      blocks.push(...(this.checkpointing ? checkpointed(pass, [x]) : pass(x)));
    }
    const last = blocks.at(-1) ?? embedded;
    const tokens = this.norm === null ? last : this.norm.forward(last);
    return { embedded, blocks, tokens, pooled: this.pool(tokens) };
  }

  /** @throws ShapeError if the network has no head, or for pictures of another size. */
  forward(x: Tensor): Tensor {
    if (this.head === null) throw new ShapeError(`VisionTransformer: this network has no head (classes: 0), so it gives no logits for ${showShape(x.shape)}`, "use features()");
    return this.head.forward(this.features(x).pooled);
  }

  /** tokens [B, N, dim] → [B, dim]. */
  private pool(tokens: Tensor): Tensor {
    const [batch, count, dim] = tokens.shape;
    if (this.config.pool === "mean") {
      const average = mean(slice(tokens, 1, 1, count), [1]);
      return this.fc_norm === null ? average : this.fc_norm.forward(average);
    }
    const classToken = reshape(slice(tokens, 1, 0, 1), [batch, dim]);
    return this.pooler === null ? classToken : this.pooler.forward(classToken);
  }
}
