import type { Tensor } from "../autograd/tensor.ts";
import { zeros } from "../autograd/tensor.ts";
import { concat, expand, reshape } from "../autograd/ops/index.ts";
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
  /**
   * Where the decoder sees the picture: in its first state alone, as published, or beside every word too, which needs
   * far fewer pictures to learn from.
   */
  readonly picture: "first" | "always";
}

/** What the decoder carries from word to word. */
export interface DecoderState extends LSTMState {
  /** The picture [B, hidden], for a decoder that sees it always. */
  readonly picture: Tensor;
}

/** Ids of the words so far → logits of the next ones. */
export class LSTMDecoder extends Module {
  readonly embedding: Embedding;
  readonly lstm: LSTM;
  readonly fc: Linear;
  private readonly always: boolean;

  constructor(builder: Builder, { vocabulary, embedding, hidden, picture }: LSTMDecoderConfig) {
    super();
    this.always = picture === "always";
    this.embedding = new Embedding(builder, vocabulary, embedding);
    this.lstm = new LSTM(builder, embedding + (this.always ? hidden : 0), hidden);
    this.fc = new Linear(builder, hidden, vocabulary);
  }

  /** The state before the first word: h0 is the picture [B, hidden], the cell is zero. */
  start(picture: Tensor): DecoderState {
    const shape = [1, ...picture.shape];
    return { h: reshape(picture, shape), c: zeros(picture.device, shape), picture };
  }

  /** ids [B, T] i32 → logits [B, T, vocabulary], and the state after the last word. */
  forward(ids: Tensor, { h, c, picture }: DecoderState): { logits: Tensor; state: DecoderState } {
    const [batch, length] = ids.shape;
    const words = this.embedding.forward(ids);
    const beside = (): Tensor => expand(reshape(picture, [batch, 1, picture.shape[1]]), [batch, length, picture.shape[1]]);
    const { y, state } = this.lstm.forward(this.always ? concat([words, beside()], 2) : words, { h, c });
    return { logits: this.fc.forward(y), state: { ...state, picture } };
  }
}
