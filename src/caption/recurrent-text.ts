import type { Tensor } from "../autograd/tensor.ts";
import { reshape } from "../autograd/ops/index.ts";
import type { DecoderState, RecurrentDecoder } from "../models/lstm.ts";
import type { TextModel, TextState } from "./text-model.ts";

/** What a recurrent decoder begins with. */
export interface RecurrentPrompt {
  /** Embedding of the start word, or of what stands in its place [B, 1, embedding]. */
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
    return { logits: reshape(logits, [x.shape[0], -1]), state: pack(state) };
  };
  return {
    begin(...inputs) {
      const { x, state, said } = prompt(...inputs);
      return { ...say(x, state), said };
    },
    next(words, state) {
      return say(decoder.embedding.forward(reshape(words, [words.size, 1])), unpack(state));
    },
  };
}

/** The state with the batch first. */
function pack({ h, c, regions }: DecoderState): TextState {
  const own = c === undefined ? [h] : [h, c];
  return { own: own.map((part) => reshape(part, part.shape.slice(1))), shared: regions === null ? [] : [regions] };
}

function unpack({ own, shared }: TextState): DecoderState {
  const [h, c] = own.map((part) => reshape(part, [1, ...part.shape]));
  return { h, c, regions: shared[0] ?? null };
}
