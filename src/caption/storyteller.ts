import type { Tensor } from "../autograd/tensor.ts";
import { crossEntropy, reshape } from "../autograd/ops/index.ts";
import { CheckpointError } from "../core/errors.ts";
import { PAD } from "../data/vocabulary.ts";
import { LSTMDecoder, type DecoderState, type LSTMDecoderConfig } from "../models/lstm.ts";
import { parseResNetConfig, ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import type { WordModel } from "./decode.ts";
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
  readonly decoder: LSTMDecoderConfig;
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
  const { backbone, grid, features, decoder } = fields(value);
  const words = fields(decoder);
  return {
    backbone: backbone === null ? null : parseResNetConfig(backbone, refuse),
    grid: whole("grid", grid, 1),
    features: whole("features", features, 0),
    decoder: {
      vocabulary: whole("decoder.vocabulary", words.vocabulary, 1),
      embedding: whole("decoder.embedding", words.embedding, 1),
      hidden: whole("decoder.hidden", words.hidden, 1),
      picture: words.picture === "first" || words.picture === "always" ? words.picture : refuse("decoder.picture", '"first" or "always"', words.picture),
    },
  };
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
export class Storyteller extends Module implements WordModel {
  readonly backbone: ResNet | null;
  readonly encoder: StorytellerEncoder;
  readonly decoder: LSTMDecoder;
  private readonly grid: number;

  constructor(builder: Builder, config: StorytellerConfig) {
    super();
    this.backbone = config.backbone === null ? null : new ResNet(builder, config.backbone);
    const features = this.backbone === null ? config.features : this.backbone.channels * config.grid ** 2;
    this.encoder = new StorytellerEncoder(builder, features, config.decoder.hidden);
    this.decoder = new LSTMDecoder(builder, config.decoder);
    this.grid = config.grid;
  }

  /** The decoder's state before the first word. */
  encode(pictures: Tensor): DecoderState {
    const features = this.backbone === null ? pictures : this.backbone.pooled(pictures, this.grid);
    return this.decoder.start(this.encoder.fc.forward(features));
  }

  /** The state as rows: h, c and the picture [B, hidden]. */
  begin(pictures: Tensor): readonly Tensor[] {
    return rowsOf(this.encode(pictures));
  }

  next(words: Tensor, [h, c, picture]: readonly Tensor[]): { logits: Tensor; state: readonly Tensor[] } {
    const shape = [1, ...h.shape];
    const { logits, state } = this.decoder.forward(words, { h: reshape(h, shape), c: reshape(c, shape), picture });
    return { logits: reshape(logits, [logits.shape[0], logits.shape[2]]), state: rowsOf(state) };
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

function rowsOf({ h, c, picture }: DecoderState): readonly Tensor[] {
  return [reshape(h, h.shape.slice(1)), reshape(c, c.shape.slice(1)), picture];
}
