import { ShapeError } from "../core/errors.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { zeros } from "../autograd/tensor.ts";
import { add, reshape } from "../autograd/ops/index.ts";
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
   * Where the decoder sees the picture: in its first state alone, as published, or added to every word's embedding too
   * (`embedding` must equal `hidden` then), which needs far fewer pictures to learn from.
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
    if (picture === "always" && embedding !== hidden) {
      throw new ShapeError(`LSTMDecoder: a picture that is added to every word needs an embedding as long as the hidden state; got ${embedding} and ${hidden}`);
    }
    this.always = picture === "always";
    this.embedding = new Embedding(builder, vocabulary, embedding);
    this.lstm = new LSTM(builder, embedding, hidden);
    this.fc = new Linear(builder, hidden, vocabulary);
  }

  /** The state before the first word: h0 is the picture [B, hidden], the cell is zero. */
  start(picture: Tensor): DecoderState {
    const shape = [1, ...picture.shape];
    return { h: reshape(picture, shape), c: zeros(picture.device, shape), picture };
  }

  /** ids [B, T] i32 → logits [B, T, vocabulary], and the state after the last word. */
  forward(ids: Tensor, { h, c, picture }: DecoderState): { logits: Tensor; state: DecoderState } {
    const words = this.embedding.forward(ids);
    const [batch, hidden] = picture.shape;
    const { y, state } = this.lstm.forward(this.always ? add(words, reshape(picture, [batch, 1, hidden])) : words, { h, c });
    return { logits: this.fc.forward(y), state: { ...state, picture } };
  }
}
