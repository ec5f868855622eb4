import { full, type Tensor } from "../autograd/tensor.ts";
import { adaptiveAvgPool2d, crossEntropy, reshape, transpose } from "../autograd/ops/index.ts";
import { CheckpointError } from "../core/errors.ts";
import { PAD, START } from "../data/vocabulary.ts";
import { RecurrentDecoder, type DecoderState, type RecurrentDecoderConfig } from "../models/lstm.ts";
import { parseResNetConfig, ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { recurrentText } from "./recurrent-text.ts";
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
  /** Whether the decoder looks at the regions again before each word; needs a backbone. */
  readonly attention: boolean;
  readonly decoder: Omit<RecurrentDecoderConfig, "attention">;
}

/**
 * Checks a configuration that was read from a checkpoint.
 * @throws CheckpointError that names the field at fault.
 */
export function parseStorytellerConfig(value: unknown, file: string): StorytellerConfig {
  const fields = (of: unknown): Record<string, unknown> => (typeof of === "object" && of !== null ? (of as Record<string, unknown>) : {});
  const refuse = (field: string, expected: string, got: unknown): never => {
    throw new CheckpointError(`${file}: the config's ${field} must be ${expected}; got ${JSON.stringify(got)}`, "the checkpoint is damaged; use an earlier one");
  };
  const whole = (field: string, got: unknown, least: number): number =>
    Number.isInteger(got) && (got as number) >= least ? (got as number) : refuse(field, `a whole number of at least ${least}`, got);
  const { backbone, grid, features, attention, decoder } = fields(value);
  const words = fields(decoder);
  return {
    backbone: backbone === null ? null : parseResNetConfig(backbone, refuse),
    grid: whole("grid", grid, 1),
    features: whole("features", features, 0),
    attention: typeof attention === "boolean" ? attention : refuse("attention", "true or false", attention),
    decoder: {
      cell: cellOf(words.cell ?? "lstm", refuse), // earlier checkpoints don't say
      vocabulary: whole("decoder.vocabulary", words.vocabulary, 1),
      embedding: whole("decoder.embedding", words.embedding, 1),
      hidden: whole("decoder.hidden", words.hidden, 1),
    },
  };
}

function cellOf(value: unknown, refuse: (field: string, expected: string, got: unknown) => never): RecurrentDecoderConfig["cell"] {
  return value === "lstm" || value === "gru" || value === "rnn" ? value : refuse("decoder.cell", '"lstm", "gru" or "rnn"', value);
}

/** features [B, F] → the first hidden state [B, hidden]. */
class StorytellerEncoder extends Module {
  readonly fc: Linear;

  constructor(builder: Builder, features: number, hidden: number) {
    super();
    this.fc = new Linear(builder, features, hidden);
  }
}

/** Pictures [B, 3, H, W] (or features [B, F] without a backbone) and words → logits, loss or the decoder's state. */
export class Storyteller extends Module {
  readonly backbone: ResNet | null;
  readonly encoder: StorytellerEncoder;
  readonly decoder: RecurrentDecoder;
  private readonly grid: number;

  constructor(builder: Builder, config: StorytellerConfig) {
    super();
    this.backbone = config.backbone === null ? null : new ResNet(builder, config.backbone);
    const channels = this.backbone?.channels ?? 0;
    const features = this.backbone === null ? config.features : channels * config.grid ** 2;
    const attention = config.attention ? { regions: config.grid ** 2, channels } : null;
    this.encoder = new StorytellerEncoder(builder, features, config.decoder.hidden);
    this.decoder = new RecurrentDecoder(builder, { ...config.decoder, attention });
    this.grid = config.grid;
  }

  /** The decoder's state before the first word. */
  encode(pictures: Tensor): DecoderState {
    if (this.backbone === null) return this.decoder.start(this.encoder.fc.forward(pictures), null);
    const pooled = adaptiveAvgPool2d(this.backbone.features(pictures).layer4, this.grid);
    const [batch, channels] = pooled.shape;
    const regions = reshape(pooled, [batch, channels, this.grid ** 2]);
    return this.decoder.start(this.encoder.fc.forward(reshape(pooled, [batch, -1])), transpose(regions));
  }

  /** Captions from pictures alone. */
  text(): TextModel {
    return recurrentText(this.decoder, (pictures) => {
      const said = full(pictures.device, [pictures.shape[0], 1], START, "i32");
      return { x: this.decoder.embedding.forward(said), state: this.encode(pictures), said };
    });
  }

  /** ids [B, T] i32, beginning with the start word → logits [B, T, V] of the word after each. */
  forward(pictures: Tensor, ids: Tensor): Tensor {
    return this.decoder.forward(ids, this.encode(pictures)).logits;
  }

  /** Mean cross-entropy of the next words [B, T] i32, pads left out. */
  loss(pictures: Tensor, ids: Tensor, next: Tensor): Tensor {
    const logits = this.forward(pictures, ids);
    const [batch, length, words] = logits.shape;
    return crossEntropy(reshape(logits, [batch * length, words]), reshape(next, [batch * length]), { ignoreIndex: PAD });
  }
}
