import type { Tensor } from "../autograd/tensor.ts";
import { zeros } from "../autograd/tensor.ts";
import { reshape } from "../autograd/ops/index.ts";
import { Embedding, Linear, LSTM, type Builder, type LSTMState } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";

/**
 * A word-by-word decoder: Embedding → LSTM → Linear.
 *
 * Source: Vinyals et al. 2014, "Show and tell", arXiv:1411.4555, with the picture in the first hidden state.
 */
export interface LSTMDecoderConfig {
  readonly vocabulary: number;
  readonly embedding: number;
  readonly hidden: number;
}

/** Ids of the words so far → logits of the next ones. */
export class LSTMDecoder extends Module {
  readonly embedding: Embedding;
  readonly lstm: LSTM;
  readonly fc: Linear;

  constructor(builder: Builder, { vocabulary, embedding, hidden }: LSTMDecoderConfig) {
    super();
    this.embedding = new Embedding(builder, vocabulary, embedding);
    this.lstm = new LSTM(builder, embedding, hidden);
    this.fc = new Linear(builder, hidden, vocabulary);
  }

  /** The state before the first word: h0 [B, hidden] is the picture, the cell is zero. */
  start(h0: Tensor): LSTMState {
    const shape = [1, ...h0.shape];
    return { h: reshape(h0, shape), c: zeros(h0.device, shape) };
  }

  /** ids [B, T] i32 → logits [B, T, vocabulary], and the state after the last word. */
  forward(ids: Tensor, state: LSTMState): { logits: Tensor; state: LSTMState } {
    const { y, state: next } = this.lstm.forward(this.embedding.forward(ids), state);
    return { logits: this.fc.forward(y), state: next };
  }
}
