import type { Tensor } from "../autograd/tensor.ts";

/** What a model carries from word to word: tensors with one row for each text that is being made. */
export interface TextState {
  /** [R, ...]: each text has its own. */
  readonly own: readonly Tensor[];
  /** [R, ...]: the same for all texts about one picture, whatever is said. */
  readonly shared: readonly Tensor[];
}

/** What stands before the first new word. */
export interface TextStart {
  /** Of the first new word [B, V]. */
  readonly logits: Tensor;
  readonly state: TextState;
  /** The words that were given, i32 [B, P]; a start word at least. */
  readonly said: Tensor;
}

/** A model that says one word after the other. */
export interface TextModel {
  /** Pictures, features or prompts [B, ...], as the model takes them. */
  begin(...inputs: readonly Tensor[]): TextStart;
  /** words [R] i32 → logits [R, V] of the next ones, and the state after them; tensors of the state may have been changed in place. */
  next(words: Tensor, state: TextState): { readonly logits: Tensor; readonly state: TextState };
}
