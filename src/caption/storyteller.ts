import type { Tensor } from "../autograd/tensor.ts";
import { adaptiveAvgPool2d, reshape } from "../autograd/ops/index.ts";
import { RecurrentDecoder, type DecoderOutputs, type DecoderState, type RecurrentDecoderConfig } from "../models/lstm.ts";
import { attentionOptions, type AttentionChoice } from "../models/region-attention.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import type { CaptionModel } from "./caption-model.ts";
import { recurrentLoss, recurrentText, regionsOf } from "./recurrent-text.ts";
import type { TextModel } from "./text-model.ts";
import { Module } from "../nn/module.ts";

/**
 * The system `storyteller`: a picture's features become the first hidden state of an LSTM, which says the words.
 *
 * The published form takes features of a ResNet-50 that were extracted beforehand (`backbone: null`); with a backbone
 * the whole is trained from pixels to words.
 */
export interface StorytellerConfig {
  /** The vision network, trained along; null where features come from outside. */
  readonly backbone: ResNetConfig | null;
  /** The last feature map is averaged over grid × grid regions; 1 forgets where things are. */
  readonly grid: number;
  /** Length of the features that come from outside; unused with a backbone. */
  readonly features: number;
  /** How the decoder looks at the regions again before each word, which needs a backbone; null if it doesn't. */
  readonly attention: AttentionChoice | null;
  readonly decoder: Omit<RecurrentDecoderConfig, "attention">;
}

/** features [B, F] → the first hidden state [B, hidden]. */
class StorytellerEncoder extends Module {
  readonly fc: Linear;

  constructor(builder: Builder, features: number, hidden: number) {
    super();
    this.fc = new Linear(builder, features, hidden);
  }
}

/** Pictures [B, 3, H, W] (or features [B, F] without a backbone) and words → logits, loss or texts. */
export class Storyteller extends Module implements CaptionModel {
  readonly backbone: ResNet | null;
  readonly encoder: StorytellerEncoder;
  readonly decoder: RecurrentDecoder;
  private readonly grid: number;
  private readonly coverage: number;

  constructor(builder: Builder, config: StorytellerConfig) {
    super();
    this.backbone = config.backbone === null ? null : new ResNet(builder, config.backbone);
    const channels = this.backbone?.channels ?? 0;
    const features = this.backbone === null ? config.features : channels * config.grid ** 2;
    const attention = config.attention && { ...attentionOptions(config.attention), regions: config.grid ** 2, channels };
    this.encoder = new StorytellerEncoder(builder, features, config.decoder.hidden);
    this.decoder = new RecurrentDecoder(builder, { ...config.decoder, attention });
    this.grid = config.grid;
    this.coverage = attention?.coverage ?? 0;
  }

  get vision(): ResNet | null {
    return this.backbone;
  }

  /** → [B, C, grid, grid]; without a backbone the features themselves. */
  see(pictures: Tensor): readonly Tensor[] {
    return [this.backbone === null ? pictures : adaptiveAvgPool2d(this.backbone.features(pictures).layer4, this.grid)];
  }

  logits(seen: readonly Tensor[], words: Tensor): Tensor {
    return this.decode(seen, words).logits;
  }

  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor {
    return recurrentLoss(this.decode(seen, words), next, this.coverage);
  }

  /** What the decoder makes of given words, and where it looks. */
  decode(seen: readonly Tensor[], words: Tensor): DecoderOutputs {
    return this.decoder.forward(words, this.begin(seen));
  }

  text(): TextModel {
    return recurrentText(this.decoder, (...inputs) => {
      const said = inputs.at(-1)!;
      return { x: this.decoder.embedding.forward(said), state: this.begin(inputs), said };
    });
  }

  /** The decoder's state before the first word. */
  private begin([seen]: readonly Tensor[]): DecoderState {
    const [batch] = seen.shape;
    const picture = this.encoder.fc.forward(reshape(seen, [batch, -1]));
    return this.decoder.start(picture, this.decoder.attention && regionsOf(seen, this.grid ** 2));
  }
}
