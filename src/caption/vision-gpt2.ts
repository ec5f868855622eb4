import type { Tensor } from "../autograd/tensor.ts";
import { GPT2LMHeadModel, type GPT2Config, type GPT2Context } from "../models/gpt2.ts";
import { VisionTransformer, type ViTConfig } from "../models/vit.ts";
import type { Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import type { CaptionModel } from "./caption-model.ts";
import { gpt2Text } from "./gpt2-text.ts";
import type { TextModel } from "./text-model.ts";

/** A ViT whose tokens a GPT-2 looks at in every layer: Hugging Face's VisionEncoderDecoder, and the system `cross`. */
export interface VisionGPT2Config {
  readonly encoder: ViTConfig;
  readonly decoder: GPT2Config;
  /** What layer i of the decoder looks at: the encoder's last tokens, normed, or what its layer i puts out. */
  readonly looksAt: "last" | "each";
}

/** Pictures [B, 3, H, W] and tokens → logits, loss or texts. Fields as in VisionEncoderDecoder. */
export class VisionGPT2 extends Module implements CaptionModel {
  readonly encoder: VisionTransformer;
  readonly decoder: GPT2LMHeadModel;
  private readonly looksAt: VisionGPT2Config["looksAt"];

  constructor(builder: Builder, { encoder, decoder, looksAt }: VisionGPT2Config) {
    super();
    this.encoder = new VisionTransformer(builder, encoder);
    this.decoder = new GPT2LMHeadModel(builder, decoder);
    this.looksAt = looksAt;
  }

  get vision(): VisionTransformer {
    return this.encoder;
  }

  /** → [B, N, dim of the encoder], or that for each layer of the decoder. */
  see(pictures: Tensor): readonly Tensor[] {
    const { blocks, tokens } = this.encoder.features(pictures);
    return this.looksAt === "each" ? blocks : [tokens];
  }

  logits(seen: readonly Tensor[], words: Tensor): Tensor {
    return this.decoder.forward(words, this.context(seen));
  }

  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor {
    return this.decoder.loss(this.decoder.embed(words), next, this.context(seen));
  }

  /** Where each layer of the decoder looks before it says the word after each, over the encoder's tokens [B, heads, T, N]. */
  lookingAt(seen: readonly Tensor[], words: Tensor): readonly Tensor[] {
    return this.decoder.transformer.lookingAt(this.decoder.embed(words), this.context(seen));
  }

  text(maxLength: number): TextModel {
    return gpt2Text(this.decoder, maxLength, (...inputs) => {
      const said = inputs.at(-1)!;
      return { x: this.decoder.embed(said), said, ...this.context(inputs.slice(0, -1)) };
    });
  }

  private context(seen: readonly Tensor[]): GPT2Context {
    return { encoded: this.looksAt === "each" ? seen : seen[0] };
  }
}
