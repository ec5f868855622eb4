import type { Tensor } from "../autograd/tensor.ts";
import { add, crossEntropy, equal, maskedFill, mean, mul, reshape, slice, square, sub, sum, transpose } from "../autograd/ops/index.ts";
import { IGNORED } from "../models/gpt2.ts";
import type { DecoderOutputs, DecoderState, RecurrentDecoder } from "../models/lstm.ts";
import type { TextModel, TextState } from "./text-model.ts";

/** What a recurrent decoder begins with. */
export interface RecurrentPrompt {
  /** Embeddings of the words that are given, or of what stands in their place [B, P, embedding]. */
  readonly x: Tensor;
  readonly state: DecoderState;
  /** The words that count as said, i32 [B, P]; P ≥ 1. */
  readonly said: Tensor;
}

/**
 * A recurrent decoder as a model that says one word after the other.
 * @param prompt What to begin with, from the inputs.
 */
export function recurrentText(decoder: RecurrentDecoder, prompt: (...inputs: readonly Tensor[]) => RecurrentPrompt): TextModel {
  const say = (x: Tensor, before: DecoderState): { logits: Tensor; state: TextState } => {
    const { logits, state } = decoder.continue(x, before);
    const [batch, length, vocabulary] = logits.shape;
    return { logits: reshape(slice(logits, 1, length - 1, length), [batch, vocabulary]), state: pack(state) };
  };
  return {
    begin(...inputs) {
      const { x, state, said } = prompt(...inputs);
      return { ...say(x, state), said, room: Infinity };
    },
    next(words, state) {
      return say(decoder.embedding.forward(reshape(words, [words.size, 1])), unpack(state));
    },
  };
}

/** A picture's regions for attention: maps [B, C, g, g] or the same in one row [B, C·g²] → [B, R, C], row by row of the picture. */
export function regionsOf(maps: Tensor, regions: number): Tensor {
  return transpose(reshape(maps, [maps.shape[0], -1, regions]));
}

/**
 * Mean cross-entropy of `next` [B, T] i32, IGNORED where none is asked for → [].
 * @param coverage Weight λ of Σᵢ (1 − Σₜ αₜᵢ)², the mean over the pictures: a text should look at each region about once. Words
 * that no loss is asked for don't count. Source: Xu et al. 2015, arXiv:1502.03044, doubly stochastic attention.
 */
export function recurrentLoss({ logits, weights }: DecoderOutputs, next: Tensor, coverage = 0): Tensor {
  const words = crossEntropy(reshape(logits, [next.size, -1]), reshape(next, [next.size]), { ignoreIndex: IGNORED });
  if (weights === null || coverage === 0) return words;
  const looked = sum(maskedFill(weights, reshape(equal(next, IGNORED), [...next.shape, 1]), 0), [1]);
  return add(words, mul(mean(sum(square(sub(looked, 1)), [1])), coverage));
}

/** The state with the batch first. */
function pack({ h, c, regions }: DecoderState): TextState {
  const own = c === undefined ? [h] : [h, c];
  return { own: own.map((part) => reshape(part, part.shape.slice(1))), shared: regions };
}

function unpack({ own, shared }: TextState): DecoderState {
  const [h, c] = own.map((part) => reshape(part, [1, ...part.shape]));
  return { h, c, regions: shared };
}
