import { tensor, type Tensor } from "../autograd/tensor.ts";
import type { Module } from "../nn/module.ts";
import type { TextModel } from "./text-model.ts";

/**
 * What the models of all systems can do: a vision network sees pictures, and a decoder says what they show.
 *
 * Texts stand in two tensors i32 [B, T]: `words` begin with the start word, and `next` is what should follow each of them, the
 * end word included, IGNORED (−100) where no loss is asked for.
 */
export interface CaptionModel extends Module {
  /** The network that sees; its parameters are the ones that stay as they are where the encoder is frozen. */
  readonly vision: Module | null;
  /** What the vision network makes of pictures [B, 3, H, W]: one or more tensors [B, ...], the same whatever is said. */
  see(pictures: Tensor): readonly Tensor[];
  /** → logits [B, T, V] of the word after each. */
  logits(seen: readonly Tensor[], words: Tensor): Tensor;
  /** Mean cross-entropy of `next`. */
  loss(seen: readonly Tensor[], words: Tensor, next: Tensor): Tensor;
  /** Says at most `maxLength` words. It begins from what is seen, then the words that are given i32 [B, P], the start word first. */
  text(maxLength: number): TextModel;
}

/** A captioner's texts from pictures [B, 3, H, W] alone, after the words that are given, the start word first. */
export function fromPictures(model: CaptionModel, maxLength: number, given: readonly number[]): TextModel {
  const text = model.text(maxLength);
  return {
    begin(pictures) {
      const [batch] = pictures.shape;
      const words = tensor(pictures.device, Int32Array.from({ length: batch * given.length }, (_, i) => given[i % given.length]), [batch, given.length]);
      return text.begin(...model.see(pictures), words);
    },
    next: (words, state) => text.next(words, state),
  };
}
