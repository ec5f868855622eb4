import type { KeyValueCache } from "../autograd/ops/index.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { reshape, slice } from "../autograd/ops/index.ts";
import type { GPT2Cache, GPT2Context, GPT2LMHeadModel } from "../models/gpt2.ts";
import type { TextModel, TextState } from "./text-model.ts";

/** What a GPT-2 begins with. */
export interface GPT2Prompt {
  /** Embeddings of tokens, or whatever stands in their place [B, T, dim]. */
  readonly x: Tensor;
  /** The tokens that count as said, i32 [B, P]; P ≥ 1. */
  readonly said: Tensor;
  readonly encoded?: GPT2Context["encoded"];
}

/**
 * GPT-2 as a model that says one token after the other, with a cache: each token costs one position's work.
 * @param room Longest text with all that stands before it, tokens.
 * @param prompt What to begin with, from the inputs.
 */
export function gpt2Text(gpt2: GPT2LMHeadModel, room: number, prompt: (...inputs: readonly Tensor[]) => GPT2Prompt): TextModel {
  const extend = (x: Tensor, cache: GPT2Cache): { logits: Tensor; state: TextState } => {
    const { hidden, cache: after } = gpt2.transformer.extend(x, cache);
    const [batch, length, dim] = hidden.shape;
    return { logits: gpt2.head(reshape(slice(hidden, 1, length - 1, length), [batch, dim])), state: pack(after) };
  };
  return {
    begin(...inputs) {
      const { x, said, encoded } = prompt(...inputs);
      return { ...extend(x, gpt2.transformer.cache(x.shape[0], room, { encoded })), said };
    },
    next(words, state) {
      return extend(gpt2.embed(reshape(words, [words.size, 1])), unpack(state));
    },
  };
}

function pack({ position, blocks, encoded }: GPT2Cache): TextState {
  const flat = (caches: readonly KeyValueCache[]): Tensor[] => caches.flatMap(({ keys, values }) => [keys, values]);
  return { own: [position, ...flat(blocks)], shared: flat(encoded) };
}

function unpack({ own: [position, ...blocks], shared }: TextState): GPT2Cache {
  const pairs = (tensors: readonly Tensor[]): KeyValueCache[] => Array.from({ length: tensors.length / 2 }, (_, i) => ({ keys: tensors[2 * i], values: tensors[2 * i + 1] }));
  return { position, blocks: pairs(blocks), encoded: pairs(shared) };
}
