import type { Tensor } from "../autograd/tensor.ts";
import { reshape } from "../autograd/ops/index.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../models/gpt2.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import type { CaptionModel } from "./caption-model.ts";
import { afterPicture, gpt2Text } from "./gpt2-text.ts";
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

/** Pictures [B, 3, H, W] and tokens → logits, loss or texts. Fields as in the published checkpoints. */
export class Story extends Module implements CaptionModel {
  readonly encoder: StoryEncoder;
  readonly mapper: Linear;
  readonly gpt2: GPT2LMHeadModel;

  constructor(builder: Builder, { encoder, gpt2 }: StoryConfig) {
    super();
    this.encoder = new StoryEncoder(builder, encoder);
    this.mapper = new Linear(builder, encoder.classes, gpt2.dim);
    this.gpt2 = new GPT2LMHeadModel(builder, gpt2);
  }

  get vision(): ResNet {
    return this.encoder.cnn;
  }

  /** → [B, C]: the summary that is made of it may be trained where the rest of the network is frozen. */
  see(pictures: Tensor): readonly Tensor[] {
    return [this.encoder.cnn.pooled(pictures)];
  }

  /** @param keyMask [B, T] of any type: 0 where nobody may attend to a place, the first being the picture's. */
  logits(seen: readonly Tensor[], words: Tensor, keyMask?: Tensor): Tensor {
    return this.gpt2.head(this.gpt2.transformer.hidden(this.sequence(seen, words), { keyMask }).at(-1)!);
  }

  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor {
    return this.gpt2.loss(this.sequence(seen, words), next);
  }

  text(maxLength: number): TextModel {
    return gpt2Text(this.gpt2, maxLength, (...inputs) => ({ x: this.sequence(inputs, inputs.at(-1)!), said: inputs.at(-1)! }));
  }

  /** The picture as a token, in the place of the start token: [B, T, dim]. */
  private sequence([pooled]: readonly Tensor[], words: Tensor): Tensor {
    const token = this.mapper.forward(this.encoder.cnn.fc!.forward(pooled));
    return afterPicture(this.gpt2, reshape(token, [token.shape[0], 1, -1]), words);
  }
}
