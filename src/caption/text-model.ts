import type { Tensor } from "../autograd/tensor.ts";

/** What a model carries from word to word. Of each of B rows of the inputs R / B texts are made, whose rows stand together. */
export interface TextState {
  /** [R, ...], each text's own; as the model begins, [B, ...]. */
  readonly own: readonly Tensor[];
  /** [B, ...], the same for all texts about one picture, whatever is said. */
  readonly shared: readonly Tensor[];
}

/** What stands before the first new word. */
export interface TextStart {
  /** Of the first new word [B, V]. */
  readonly logits: Tensor;
  readonly state: TextState;
  /** The words that were given, i32 [B, P]; a start word at least. */
  readonly said: Tensor;
  /** How many words the model can still say; Infinity where there is no limit. */
  readonly room: number;
}

/** A model that says one word after the other. */
export interface TextModel {
  /** Inputs [B, ...] as the model takes them: a captioner what it sees, then the words that are given. */
  begin(...inputs: readonly Tensor[]): TextStart;
  /** words [R] i32 → logits [R, V] of the next ones, and the state after them; tensors of the state may have been changed in place. */
  next(words: Tensor, state: TextState): { readonly logits: Tensor; readonly state: TextState };
}
