import { full, zeros, type Tensor } from "../autograd/tensor.ts";
import { concat, crossEntropy, reshape } from "../autograd/ops/index.ts";
import { PAD, START } from "../data/vocabulary.ts";
import { RecurrentDecoder, type DecoderState, type RecurrentDecoderConfig } from "../models/lstm.ts";
import { ResNet, type ResNetConfig } from "../models/resnet.ts";
import { Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { BatchNorm1d } from "../nn/norm.ts";
import { recurrentText } from "./recurrent-text.ts";
import type { TextModel } from "./text-model.ts";

/** The system `encdec`: a ResNet's summary of the picture stands before the words of a recurrent decoder. */
export interface EncDecConfig {
  readonly encoder: ResNetConfig;
  readonly decoder: Omit<RecurrentDecoderConfig, "attention">;
}

const MOMENTUM = 0.01; // of the summary's batch norm

/** Pictures [B, 3, H, W] and words [B, T] → logits [B, 1 + T, V] of the words from the first on, or the loss. */
export class EncDec extends Module {
  readonly body: ResNet;
  readonly linear: Linear;
  readonly bn: BatchNorm1d;
  readonly decoder: RecurrentDecoder;
  private readonly hidden: number;

  constructor(builder: Builder, { encoder, decoder }: EncDecConfig) {
    super();
    this.body = new ResNet(builder, encoder);
    this.linear = new Linear(builder, this.body.channels, decoder.embedding);
    this.bn = new BatchNorm1d(builder, decoder.embedding, { momentum: MOMENTUM });
    this.decoder = new RecurrentDecoder(builder, { ...decoder, attention: null });
    this.hidden = decoder.hidden;
  }

  /** The picture as a word's embedding [B, 1, embedding]. */
  encode(pictures: Tensor): Tensor {
    const summary = this.bn.forward(this.linear.forward(this.body.pooled(pictures)));
    return reshape(summary, [summary.shape[0], 1, summary.shape[1]]);
  }

  forward(pictures: Tensor, ids: Tensor): Tensor {
    return this.decoder.continue(concat([this.encode(pictures), this.decoder.embedding.forward(ids)], 1), this.blank(pictures)).logits;
  }

  /** Mean cross-entropy of the words [B, 1 + T] i32, pads left out; `ids` [B, T] are all but the last. */
  loss(pictures: Tensor, ids: Tensor, words: Tensor): Tensor {
    const logits = this.forward(pictures, ids);
    return crossEntropy(reshape(logits, [words.size, -1]), reshape(words, [words.size]), { ignoreIndex: PAD });
  }

  /** Captions from pictures alone. */
  text(): TextModel {
    return recurrentText(this.decoder, (pictures) => ({
      x: this.encode(pictures),
      state: this.blank(pictures),
      said: full(pictures.device, [pictures.shape[0], 1], START, "i32"), // for the record: the picture stands in its place
    }));
  }

  /** The state before anything is seen. */
  private blank(pictures: Tensor): DecoderState {
    return this.decoder.start(zeros(pictures.device, [pictures.shape[0], this.hidden]), null);
  }
}
