import type { Tensor } from "../autograd/tensor.ts";
import { concat, reshape, split } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import { Embedding, Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { GRU, LSTM, RNN, type Recurrent, type RecurrentState } from "../nn/recurrent.ts";
import { AdditiveRegionAttention, DotRegionAttention, type RegionAttentionConfig } from "./region-attention.ts";

/**
 * A word-by-word decoder: Embedding → LSTM, GRU or RNN → Linear, with attention over the picture's regions where it has any.
 *
 * Source: Vinyals et al. 2014, "Show and tell", arXiv:1411.4555; the picture is the first hidden state, or stands before the
 * first word. With additive attention: Xu et al. 2015, "Show, attend and tell", arXiv:1502.03044.
 */
export interface RecurrentDecoderConfig {
  readonly cell: "lstm" | "gru" | "rnn";
  readonly vocabulary: number;
  readonly embedding: number;
  readonly hidden: number;
  /** What the decoder may look at before each word; null, as published: nothing but the first state. */
  readonly attention: RegionAttentionConfig | null;
}

/** What the decoder carries from word to word. */
export interface DecoderState extends RecurrentState {
  /** An LSTM's cells [1, B, hidden]. */
  readonly c?: Tensor;
  /** What a decoder with attention looks at, [B, R, ...] each: the regions with their places, and additive attention's keys. */
  readonly regions: readonly Tensor[];
}

/** What the decoder makes of some words. */
export interface DecoderOutputs {
  /** Of the word after each [B, T, vocabulary]. */
  readonly logits: Tensor;
  /** Where it looked before it said that word, [B, T, R], each row summing to 1; null without attention. */
  readonly weights: Tensor | null;
  /** After the last word. */
  readonly state: DecoderState;
}

/** Ids of the words so far → logits of the next ones. The network stands in the field that bears its cell's name. */
export class RecurrentDecoder extends Module {
  readonly embedding: Embedding;
  readonly lstm: LSTM | null;
  readonly gru: GRU | null;
  readonly rnn: RNN | null;
  readonly attention: DotRegionAttention | AdditiveRegionAttention | null;
  readonly fc: Linear;

  constructor(builder: Builder, { cell, vocabulary, embedding, hidden, attention }: RecurrentDecoderConfig) {
    super();
    const inputs = embedding + (attention?.kind === "additive" ? attention.channels : 0);
    this.embedding = new Embedding(builder, vocabulary, embedding);
    this.lstm = cell === "lstm" ? new LSTM(builder, inputs, hidden) : null;
    this.gru = cell === "gru" ? new GRU(builder, inputs, hidden) : null;
    this.rnn = cell === "rnn" ? new RNN(builder, inputs, hidden) : null;
    this.attention = attention && new (attention.kind === "additive" ? AdditiveRegionAttention : DotRegionAttention)(builder, hidden, attention);
    this.fc = new Linear(builder, hidden, vocabulary);
  }

  /**
   * The state before the first word: h0 is the picture as a whole [B, hidden], an LSTM's cells are zero.
   * @param regions [B, R, C], for a decoder with attention.
   * @throws ShapeError if a decoder with attention gets no regions.
   */
  start(picture: Tensor, regions: Tensor | null): DecoderState {
    const places = (): readonly Tensor[] => {
      if (regions === null) throw new ShapeError("RecurrentDecoder: a decoder with attention needs the picture's regions [B, R, C]; got none");
      return this.attention!.place(regions);
    };
    return { ...this.network.start(reshape(picture, [1, ...picture.shape])), regions: this.attention === null ? [] : places() };
  }

  /** ids [B, T] i32, and the state before them. */
  forward(ids: Tensor, state: DecoderState): DecoderOutputs {
    return this.continue(this.embedding.forward(ids), state);
  }

  /** The same for embeddings of words [B, T, embedding], or for what stands in their place. */
  continue(x: Tensor, before: DecoderState): DecoderOutputs {
    if (this.attention instanceof AdditiveRegionAttention) return this.wordByWord(x, before, this.attention);
    const { regions, ...start } = before;
    const { y, state } = this.network.forward(x, start);
    const looked = this.attention?.forward(y, regions);
    return { logits: this.fc.forward(looked?.spoken ?? y), weights: looked?.weights ?? null, state: { ...state, regions } };
  }

  /** One step of the network at a time: where it looks depends on the step before. */
  private wordByWord(x: Tensor, { regions, ...start }: DecoderState, attention: AdditiveRegionAttention): DecoderOutputs {
    let before: RecurrentState = start;
    const steps = split(x, 1, 1).map((word) => {
      const { context, weights } = attention.forward(before.h, regions);
      const { y, state } = this.network.forward(concat([word, context], 2), before);
      before = state;
      return { y, weights };
    });
    const [y, weights] = (["y", "weights"] as const).map((name) => concat(steps.map((step) => step[name]), 1));
    return { logits: this.fc.forward(y), weights, state: { ...before, regions } };
  }

  private get network(): Recurrent<RecurrentState> {
    return (this.lstm ?? this.gru ?? this.rnn)!;
  }
}
