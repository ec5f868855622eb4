import { full, type Tensor } from "../autograd/tensor.ts";
import { concat, reshape, where } from "../autograd/ops/index.ts";
import { GPT2LMHeadModel, IGNORED, type GPT2Config } from "../models/gpt2.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { gpt2Text } from "./gpt2-text.ts";
import type { TextModel } from "./text-model.ts";

/** The system `story`: a ResNet's summary of the picture stands as one token before the text of a GPT-2. */
export interface StoryConfig {
  /** Its head, `classes` wide, is the summary. */
  readonly encoder: ResNetConfig;
  readonly gpt2: GPT2Config;
}

class StoryEncoder extends Module {
  readonly cnn: ResNet;

  constructor(builder: Builder, config: ResNetConfig) {
    super();
    this.cnn = new ResNet(builder, config);
  }
}

/** Pictures [B, 3, H, W] and tokens [B, T] → logits [B, 1 + T, V], or the loss. Fields as in the published checkpoints. */
export class Story extends Module {
  readonly encoder: StoryEncoder;
  readonly mapper: Linear;
  readonly gpt2: GPT2LMHeadModel;

  constructor(builder: Builder, { encoder, gpt2 }: StoryConfig) {
    super();
    this.encoder = new StoryEncoder(builder, encoder);
    this.mapper = new Linear(builder, encoder.classes, gpt2.dim);
    this.gpt2 = new GPT2LMHeadModel(builder, gpt2);
  }

  /** The picture as a token [B, 1, dim]. */
  prefix(pictures: Tensor): Tensor {
    const token = this.mapper.forward(this.encoder.cnn.forward(pictures));
    return reshape(token, [token.shape[0], 1, token.shape[1]]);
  }

  /** @param mask i32 [B, T]: 0 for pads, to which nobody attends. */
  forward(pictures: Tensor, ids: Tensor, mask: Tensor): Tensor {
    const { x, keyMask } = this.sequence(pictures, ids, mask);
    return this.gpt2.head(this.gpt2.transformer.hidden(x, { keyMask }).at(-1)!);
  }

  /** Mean cross-entropy of the tokens, the first of which follows the picture; pads are left out. */
  loss(pictures: Tensor, ids: Tensor, mask: Tensor): Tensor {
    const { x, keyMask } = this.sequence(pictures, ids, mask);
    const ignored = full(ids.device, [ids.shape[0], 1], IGNORED, "i32");
    return this.gpt2.loss(x, concat([ignored, where(mask, ids, ignored)], 1), { keyMask });
  }

  /** Stories of at most `maxLength` tokens, from pictures alone. */
  text(maxLength: number, start: number): TextModel {
    return gpt2Text(this.gpt2, 1 + maxLength, (pictures) => ({ x: this.prefix(pictures), said: full(pictures.device, [pictures.shape[0], 1], start, "i32") }));
  }

  private sequence(pictures: Tensor, ids: Tensor, mask: Tensor): { x: Tensor; keyMask: Tensor } {
    const seen = full(ids.device, [ids.shape[0], 1], 1, "i32");
    return { x: concat([this.prefix(pictures), this.gpt2.embed(ids)], 1), keyMask: concat([seen, mask], 1) };
  }
}
