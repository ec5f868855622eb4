import type { KeyValueCache } from "../autograd/ops/attention-decode.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { concat, reshape, slice } from "../autograd/ops/index.ts";
import { InputError } from "../core/errors.ts";
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
 * Beginning a text throws an InputError if what is given is longer than the model's context.
 * @param maxLength Most tokens that are said; there is no room for more.
 * @param prompt What to begin with, from the inputs.
 */
export function gpt2Text(gpt2: GPT2LMHeadModel, maxLength: number, prompt: (...inputs: readonly Tensor[]) => GPT2Prompt): TextModel {
  const extend = (x: Tensor, cache: GPT2Cache): { logits: Tensor; state: TextState } => {
    const { hidden, cache: after } = gpt2.transformer.extend(x, cache);
    const [batch, length, dim] = hidden.shape;
    return { logits: gpt2.head(reshape(slice(hidden, 1, length - 1, length), [batch, dim])), state: pack(after) };
  };
  return {
    begin(...inputs) {
      const { x, said, encoded } = prompt(...inputs);
      const [batch, length] = x.shape;
      const { positions } = gpt2.transformer.config;
      if (length > positions) throw new InputError(`gpt2Text: what is given must take at most ${positions} places, the model's context; got ${length}`, "shorten the text that is given");
      const room = Math.min(maxLength, positions - length + 1); // the last token that is said takes no place
      return { ...extend(x, gpt2.transformer.cache(batch, length + room - 1, { encoded })), said, room };
    },
    next(words, state) {
      return extend(gpt2.embed(reshape(words, [words.size, 1])), unpack(state));
    },
  };
}

/** What stands for the picture in the place of the start token, then the other tokens. picture [B, P, dim], words i32 [B, T] → [B, P + T − 1, dim]. */
export function afterPicture(gpt2: GPT2LMHeadModel, picture: Tensor, words: Tensor): Tensor {
  const [, length] = words.shape;
  return length === 1 ? picture : concat([picture, gpt2.embed(slice(words, 1, 1, length))], 1);
}

function pack({ position, blocks, encoded }: GPT2Cache): TextState {
  const flat = (caches: readonly KeyValueCache[]): Tensor[] => caches.flatMap(({ keys, values }) => [keys, values]);
  return { own: [position, ...flat(blocks)], shared: flat(encoded) };
}

function unpack({ own: [position, ...blocks], shared }: TextState): GPT2Cache {
  const pairs = (tensors: readonly Tensor[]): KeyValueCache[] => Array.from({ length: tensors.length / 2 }, (_, i) => ({ keys: tensors[2 * i], values: tensors[2 * i + 1] }));
  return { position, blocks: pairs(blocks), encoded: pairs(shared) };
}
