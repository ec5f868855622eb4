import type { Tensor } from "../autograd/tensor.ts";
import { add, affine, concat, matmul, reshape, softmax, tanh } from "../autograd/ops/index.ts";
import { ShapeError } from "../core/errors.ts";
import { normal } from "../nn/init.ts";
import { Embedding, Linear, type Builder } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { GRU, LSTM, RNN, type Recurrent, type RecurrentState } from "../nn/recurrent.ts";

/**
 * A word-by-word decoder: Embedding → LSTM, GRU or RNN → Linear, with attention over the picture's regions where it has any.
 *
 * Source: Vinyals et al. 2014, "Show and tell", arXiv:1411.4555; the picture is the first hidden state, or stands before the
 * first word. Attention as in Luong et al. 2015, arXiv:1508.04025 (global, scaled dot product), over regions as in Xu et al. 2015.
 */
export interface RecurrentDecoderConfig {
  readonly cell: "lstm" | "gru" | "rnn";
  readonly vocabulary: number;
  readonly embedding: number;
  readonly hidden: number;
  /** What the decoder may look at before each word; null, as published: nothing but the first state. */
  readonly attention: { readonly regions: number; readonly channels: number } | null;
}

/** What the decoder carries from word to word. */
export interface DecoderState extends RecurrentState {
  /** An LSTM's cells [1, B, hidden]. */
  readonly c?: Tensor;
  /** The picture's regions with their places [B, R, C], for a decoder with attention. */
  readonly regions: Tensor | null;
}

/** Looks at the regions that matter for the next word. */
class RegionAttention extends Module {
  readonly positions: Parameter;
  readonly query: Linear;
  readonly combine: Linear;

  constructor(builder: Builder, hidden: number, regions: number, channels: number) {
    super();
    this.positions = new Parameter(builder.device, [regions, channels], normal(builder.generator, 0.5));
    this.query = new Linear(builder, hidden, channels);
    this.combine = new Linear(builder, hidden + channels, hidden);
  }

  /** y [B, T, H], regions [B, R, C] → tanh(W [y; what is seen]) [B, T, H]. */
  forward(y: Tensor, regions: Tensor): Tensor {
    const scale = 1 / Math.sqrt(regions.shape[2]);
    const scores = matmul(affine(this.query.forward(y), scale, 0), regions, { transposeB: true });
    const seen = matmul(softmax(scores), regions);
    return tanh(this.combine.forward(concat([y, seen], 2)));
  }
}

/** Ids of the words so far → logits of the next ones. The network stands in the field that bears its cell's name. */
export class RecurrentDecoder extends Module {
  readonly embedding: Embedding;
  readonly lstm: LSTM | null;
  readonly gru: GRU | null;
  readonly rnn: RNN | null;
  readonly attention: RegionAttention | null;
  readonly fc: Linear;

  constructor(builder: Builder, { cell, vocabulary, embedding, hidden, attention }: RecurrentDecoderConfig) {
    super();
    this.embedding = new Embedding(builder, vocabulary, embedding);
    this.lstm = cell === "lstm" ? new LSTM(builder, embedding, hidden) : null;
    this.gru = cell === "gru" ? new GRU(builder, embedding, hidden) : null;
    this.rnn = cell === "rnn" ? new RNN(builder, embedding, hidden) : null;
    this.attention = attention && new RegionAttention(builder, hidden, attention.regions, attention.channels);
    this.fc = new Linear(builder, hidden, vocabulary);
  }

  /**
   * The state before the first word: h0 is the picture as a whole [B, hidden], an LSTM's cells are zero.
   * @param regions [B, R, C], for a decoder with attention.
   * @throws ShapeError if a decoder with attention gets no regions.
   */
  start(picture: Tensor, regions: Tensor | null): DecoderState {
    const placed = (): Tensor => {
      if (regions === null) throw new ShapeError("RecurrentDecoder: a decoder with attention needs the picture's regions [B, R, C]; got none");
      return add(regions, this.attention!.positions);
    };
    return { ...this.network.start(reshape(picture, [1, ...picture.shape])), regions: this.attention && placed() };
  }

  /** ids [B, T] i32 → logits [B, T, vocabulary], and the state after the last word. */
  forward(ids: Tensor, state: DecoderState): { logits: Tensor; state: DecoderState } {
    return this.continue(this.embedding.forward(ids), state);
  }

  /** The same for embeddings of words [B, T, embedding], or for what stands in their place. */
  continue(x: Tensor, { regions, ...before }: DecoderState): { logits: Tensor; state: DecoderState } {
    const { y, state } = this.network.forward(x, before);
    const spoken = this.attention === null ? y : this.attention.forward(y, regions!);
    return { logits: this.fc.forward(spoken), state: { ...state, regions } };
  }

  private get network(): Recurrent<RecurrentState> {
    return (this.lstm ?? this.gru ?? this.rnn)!;
  }
}
