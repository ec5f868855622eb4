import { full, type Tensor } from "../autograd/tensor.ts";
import { GPT2LMHeadModel, type GPT2Config, type GPT2Context } from "../models/gpt2.ts";
import { VisionTransformer, type ViTConfig } from "../models/vit.ts";
import type { Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { gpt2Text } from "./gpt2-text.ts";
import type { TextModel } from "./text-model.ts";

/** A ViT whose tokens a GPT-2 looks at in every layer: Hugging Face's VisionEncoderDecoder, and the system `cross`. */
export interface VisionGPT2Config {
  readonly encoder: ViTConfig;
  readonly decoder: GPT2Config;
  /** What layer i of the decoder looks at: the encoder's last tokens, normed, or what its layer i puts out. */
  readonly looksAt: "last" | "each";
}

/** Pictures [B, 3, H, W] and tokens [B, T] → logits [B, T, V], or the loss. Fields as in VisionEncoderDecoder. */
export class VisionGPT2 extends Module {
  readonly encoder: VisionTransformer;
  readonly decoder: GPT2LMHeadModel;
  private readonly looksAt: VisionGPT2Config["looksAt"];

  constructor(builder: Builder, { encoder, decoder, looksAt }: VisionGPT2Config) {
    super();
    this.encoder = new VisionTransformer(builder, encoder);
    this.decoder = new GPT2LMHeadModel(builder, decoder);
    this.looksAt = looksAt;
  }

  /** What the decoder looks at, [B, N, dim] or that for each layer. */
  encode(pictures: Tensor): NonNullable<GPT2Context["encoded"]> {
    const { blocks, tokens } = this.encoder.features(pictures);
    return this.looksAt === "each" ? blocks : tokens;
  }

  forward(pictures: Tensor, ids: Tensor): Tensor {
    return this.decoder.forward(ids, { encoded: this.encode(pictures) });
  }

  /** Mean cross-entropy of the labels [B, T] i32, each predicted from the tokens before it. */
  loss(pictures: Tensor, ids: Tensor, labels: Tensor): Tensor {
    return this.decoder.loss(this.decoder.embed(ids), labels, { encoded: this.encode(pictures) });
  }

  /** Captions of at most `maxLength` tokens, from pictures alone, after the token `start`. */
  text(maxLength: number, start: number): TextModel {
    return gpt2Text(this.decoder, 1 + maxLength, (pictures) => {
      const said = full(pictures.device, [pictures.shape[0], 1], start, "i32");
      return { x: this.decoder.embed(said), said, encoded: this.encode(pictures) };
    });
  }
}
