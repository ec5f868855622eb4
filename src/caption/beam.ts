const UNUSED = -1e30; // Σ log p of a slot that no text has; finite, as WGSL promises little about infinities

/** A text that a search found. */
export interface Hypothesis {
  /** Generated ids, with the end word where one was generated. */
  readonly ids: readonly number[];
  /** Σ log p / length^alpha. */
  readonly score: number;
}

export interface BeamOptions {
  /** Texts that are followed at a time. */
  readonly width: number;
  /** Most words to generate, the end word included. */
  readonly maxLength: number;
  /** Exponent of the length in the score: 0 compares plain sums of log p, which favours short texts. */
  readonly alpha: number;
  readonly end: number;
  /**
   * What happens when a text ends. `narrow`: it leaves its place, and the search stops when no place is left, as in the
   * published storyteller. `full`: another text takes its place, and the search stops when none that is going on can beat
   * the worst of the `width` best finished ones, as in Hugging Face.
   */
  readonly rule: "narrow" | "full";
}

/** One way to go on: the slot whose text it continues, the word, and Σ log p with it. */
export interface Candidate {
  readonly slot: number;
  readonly word: number;
  readonly sum: number;
}

interface Live {
  readonly ids: readonly number[];
  readonly sum: number;
  readonly slot: number;
}

/** What the model has to run next: for each slot the last word, the slot whose state it continues, and Σ log p so far. */
export interface Advance {
  readonly words: readonly number[];
  readonly parents: readonly number[];
  /** Far below any other for slots that no text has. */
  readonly sums: readonly number[];
}

/** The bookkeeping of one picture's beam search; the model's part (states and log-probabilities) is the caller's. */
export class BeamSearch {
  readonly options: BeamOptions;
  private live: readonly Live[] = [{ ids: [], sum: 0, slot: 0 }];
  private finished: readonly Hypothesis[] = [];

  constructor(options: BeamOptions) {
    this.options = options;
  }

  get done(): boolean {
    return this.live.length === 0;
  }

  /**
   * Takes the best ways to go on, the best first: twice as many as the beam is wide, so that enough are left where half of
   * them end.
   */
  step(candidates: readonly Candidate[]): Advance {
    const { width, maxLength, end, rule } = this.options;
    if (!this.done) {
      const length = this.live[0].ids.length + 1;
      const places = rule === "full" ? width : width - this.finished.length;
      const ends = ({ word }: Candidate): boolean => word === end || length === maxLength;
      const extended = (candidate: Candidate): Live => ({ ...candidate, ids: [...this.live[candidate.slot].ids, candidate.word] });
      const possible = candidates.filter(({ sum }) => sum > UNUSED / 2);
      const stuck = possible.length === 0 ? this.live : []; // every word is forbidden: these texts end as they are
      const ended = [...possible.slice(0, places).filter(ends).map(extended), ...stuck].map(({ ids, sum }) => ({ ids, score: this.score(sum, ids.length) }));
      this.finished = [...this.finished, ...ended].toSorted((a, b) => b.score - a.score).slice(0, width);
      const going = (rule === "full" ? possible : possible.slice(0, places)).filter((candidate) => !ends(candidate)).slice(0, places);
      this.live = this.isWorthwhile(going, length) ? going.map(extended) : [];
    }
    const slots = Array.from({ length: width }, (_, i) => this.live[i]);
    return {
      words: slots.map((text) => text?.ids.at(-1) ?? 0), // any word of the vocabulary, which `end` may not be
      parents: slots.map((text) => text?.slot ?? 0),
      sums: slots.map((text) => text?.sum ?? UNUSED),
    };
  }

  /** All finished texts, the best first. */
  results(): readonly Hypothesis[] {
    return this.finished;
  }

  /** Whether one of the texts that go on may still be among the results. */
  private isWorthwhile(going: readonly Candidate[], length: number): boolean {
    const { rule, width } = this.options;
    if (rule === "narrow" || this.finished.length < width || going.length === 0) return true;
    return this.score(going[0].sum, length) > this.finished[width - 1].score;
  }

  private score(sum: number, length: number): number {
    return sum / Math.max(length, 1) ** this.options.alpha;
  }
}
