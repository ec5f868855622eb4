import type { HostInput } from "../core/host-tensor.ts";

/** A text that a model said. */
export interface Hypothesis {
  /** Generated ids, with the end word where one was generated. */
  readonly ids: readonly number[];
  /**
   * Σ log p of the ids. Word by word, p is the model's own distribution: before penalties, bans and temperature. In a beam search
   * it is what the search compares: with the penalties, and divided by length^alpha.
   */
  readonly score: number;
  /**
   * Why nothing follows: the end word came (or the rules left no word to say), the text is as long as was asked for, or the model
   * has no room for another word.
   */
  readonly ended: "end" | "length" | "room";
}

/** Texts for batches of inputs; the pipelines are compiled at the first batch of a shape. */
export interface SequenceDecoder {
  /**
   * The texts for each row of the inputs [B, ...], the best first: as many as a beam search finishes, at most as many as it is
   * wide, or as many candidates as are drawn. Calls are served one after the other, and none depends on those before.
   * @throws InputError without inputs. @throws SightlineError if the model gives NaN instead of logits.
   */
  decode(...inputs: readonly HostInput[]): Promise<readonly (readonly Hypothesis[])[]>;
  dispose(): void;
}

/** Why a text of so many words ended that has no end word. */
export function endedAt(words: number, maxLength: number): Hypothesis["ended"] {
  return words === maxLength ? "length" : "room";
}

/** What a model without any room says. */
export const NOTHING: Hypothesis = { ids: [], score: 0, ended: "room" };
