/** A caption that a beam search found. */
export interface Hypothesis {
  /** Generated ids, without the start word, with the end word where one was generated. */
  readonly ids: readonly number[];
  /** Σ log p / length^alpha. */
  readonly score: number;
}

export interface BeamOptions {
  /** Hypotheses that are followed at a time. */
  readonly width: number;
  /** Most words to generate, the end word included. */
  readonly maxLength: number;
  /** Exponent of the length in the score: 0 compares plain sums of log p, which favours short captions. */
  readonly alpha: number;
  readonly end: number;
}

interface Live {
  readonly ids: readonly number[];
  readonly sum: number;
}

/** What the model has to run next: for each slot the last word, and the slot whose state it continues. */
export interface Advance {
  readonly words: Int32Array;
  readonly parents: Int32Array;
}

/**
 * The bookkeeping of one picture's beam search; the model's part (states and log-probabilities) is the caller's.
 *
 * At each step the `width` best continuations of all live hypotheses are taken. Those that end are finished and leave
 * the beam; the search stops when as many have finished as the beam is wide, or at the greatest length.
 */
export class BeamSearch {
  readonly options: BeamOptions;
  private live: Live[] = [{ ids: [], sum: 0 }];
  private readonly finished: Hypothesis[] = [];

  constructor(options: BeamOptions) {
    this.options = options;
  }

  get done(): boolean {
    return this.live.length === 0;
  }

  /**
   * Takes the log-probabilities of the next word for each slot.
   * @param logProbs [width, V] flat, rows in the order of the last {@link Advance} (before it: only row 0 counts).
   */
  step(logProbs: Float32Array): Advance {
    const { width, maxLength, end } = this.options;
    const words = logProbs.length / width;
    const open = width - this.finished.length;
    const candidates = this.live.flatMap(({ sum }, slot) => topIndices(logProbs, slot * words, words, open).map((word) => ({ slot, word, sum: sum + logProbs[slot * words + word] })));
    candidates.sort((a, b) => b.sum - a.sum || a.slot - b.slot || a.word - b.word);
    const next: (Live & { slot: number })[] = [];
    for (const { slot, word, sum } of candidates.slice(0, open)) {
      const ids = [...this.live[slot].ids, word];
      if (word === end || ids.length === maxLength) this.finished.push({ ids, score: this.score(sum, ids.length) });
      else next.push({ ids, sum, slot });
    }
    this.live = next;
    return {
      words: Int32Array.from({ length: width }, (_, i) => next[i]?.ids.at(-1) ?? end),
      parents: Int32Array.from({ length: width }, (_, i) => next[i]?.slot ?? 0),
    };
  }

  /** All finished hypotheses, the best first. */
  results(): Hypothesis[] {
    return this.finished.toSorted((a, b) => b.score - a.score);
  }

  private score(sum: number, length: number): number {
    return sum / length ** this.options.alpha;
  }
}

/** Offsets of the `count` greatest values of a row, greatest first, the earlier one on ties. */
function topIndices(values: Float32Array, begin: number, length: number, count: number): number[] {
  const top: number[] = [];
  for (let i = 0; i < length; i++) {
    const value = values[begin + i];
    if (top.length === count && !(value > values[begin + top[count - 1]])) continue;
    let place = top.length;
    while (place > 0 && value > values[begin + top[place - 1]]) place--;
    top.splice(place, 0, i);
    if (top.length > count) top.pop();
  }
  return top;
}
