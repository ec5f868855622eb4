import { DeviceGenerator } from "../autograd/random.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { gelu, reshape, slice } from "../autograd/ops/index.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../models/gpt2.ts";
import { VisionTransformer, type ViTConfig } from "../models/vit.ts";
import { Dropout, Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { LayerNorm } from "../nn/norm.ts";
import { TransformerEncoderLayer } from "../nn/transformer.ts";
import type { CaptionModel } from "./caption-model.ts";
import { afterPicture, gpt2Text } from "./gpt2-text.ts";
import type { TextModel } from "./text-model.ts";

/** The system `prefix`: a ViT's summary of the picture becomes a few tokens that stand before the text of a GPT-2. */
export interface PrefixConfig {
  readonly encoder: ViTConfig;
  /** Width of the picture's embedding. */
  readonly embedding: number;
  /** Widths of the hidden layers between embedding and tokens. */
  readonly hidden: readonly number[];
  /** Tokens that stand for the picture. */
  readonly tokens: number;
  /** Transformer layers over these tokens; `heads` and `feedForward` are theirs. */
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
  readonly gpt2: GPT2Config;
}

const DROPOUT = 0.1;

/** Linear, GELU, dropout and norm for each hidden layer, then one linear layer: at the places by which the published one counts. */
function projection(builder: Builder, inputs: number, hidden: readonly number[], outputs: number): readonly (Layer | null)[] {
  const { random = new DeviceGenerator(builder.device, builder.generator.seed) } = builder;
  const widths = [inputs, ...hidden];
  const layers = hidden.flatMap((width, i) => [new Linear(builder, widths[i], width), null, new Dropout(random, DROPOUT), new LayerNorm(builder, width)]);
  return [...layers, new Linear(builder, widths[hidden.length], outputs)];
}

type Layer = Linear | Dropout | LayerNorm;

class TransformerEncoder extends Module {
  readonly layers: readonly TransformerEncoderLayer[];

  constructor(builder: Builder, dim: number, { layers, heads, feedForward }: PrefixConfig) {
    super();
    this.layers = Array.from({ length: layers }, () => new TransformerEncoderLayer(builder, dim, { heads, feedForward }));
  }

  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}

/** Pictures [B, 3, H, W] and tokens → logits, loss or texts. Fields as in the published checkpoints. */
export class Prefix extends Module implements CaptionModel {
  readonly visual_encoder: VisionTransformer;
  readonly vision_proj: Linear;
  readonly image_proj_to_text: readonly (Layer | null)[];
  readonly vision_transformer_encoder: TransformerEncoder;
  readonly text_decoder: GPT2LMHeadModel;
  private readonly tokens: number;

  constructor(builder: Builder, config: PrefixConfig) {
    super();
    const { encoder, embedding, hidden, tokens, gpt2 } = config;
    this.visual_encoder = new VisionTransformer(builder, encoder);
    this.vision_proj = new Linear(builder, encoder.dim, embedding);
    this.image_proj_to_text = projection(builder, embedding, hidden, tokens * gpt2.dim);
    this.vision_transformer_encoder = new TransformerEncoder(builder, gpt2.dim, config);
    this.text_decoder = new GPT2LMHeadModel(builder, gpt2);
    this.tokens = tokens;
  }

  get vision(): VisionTransformer {
    return this.visual_encoder;
  }

  /** → [B, dim of the encoder]. */
  see(pictures: Tensor): readonly Tensor[] {
    return [this.visual_encoder.features(pictures).pooled];
  }

  /** The tokens that stand for the picture [B, tokens, dim]. */
  prefix([pooled]: readonly Tensor[]): Tensor {
    let x = this.vision_proj.forward(pooled);
    for (const layer of this.image_proj_to_text) x = layer === null ? gelu(x) : layer.forward(x);
    return this.vision_transformer_encoder.forward(reshape(x, [x.shape[0], this.tokens, -1]));
  }

  /** As the first of the picture's tokens stands in the place of the start token, the last T of them are returned. */
  logits(seen: readonly Tensor[], words: Tensor): Tensor {
    const hidden = this.text_decoder.transformer.hidden(this.sequence(seen, words)).at(-1)!;
    return this.text_decoder.head(slice(hidden, 1, hidden.shape[1] - words.shape[1], hidden.shape[1]));
  }

  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor {
    return this.text_decoder.loss(this.sequence(seen, words), next);
  }

  text(maxLength: number): TextModel {
    return gpt2Text(this.text_decoder, maxLength, (...inputs) => ({ x: this.sequence(inputs, inputs.at(-1)!), said: inputs.at(-1)! }));
  }

  /** The picture's tokens, in the place of the start token, then the others [B, tokens + T − 1, dim]. */
  sequence(seen: readonly Tensor[], words: Tensor): Tensor {
    return afterPicture(this.text_decoder, this.prefix(seen), words);
  }
}
