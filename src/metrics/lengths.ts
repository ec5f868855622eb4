import type { Tokens } from "./ngrams.ts";

/** How long captions are, in tokens. */
export interface Lengths {
  readonly min: number;
  readonly mean: number;
  readonly max: number;
  /** Lengths that occur, ascending, and of how many captions. */
  readonly histogram: readonly { readonly length: number; readonly count: number }[];
}

/** The lengths of captions; of none, zeros. */
export function captionLengths(captions: readonly Tokens[]): Lengths {
  const counts = new Map<number, number>();
  for (const { length } of captions) counts.set(length, (counts.get(length) ?? 0) + 1);
  const histogram = Array.from(counts, ([length, count]) => ({ length, count })).sort((a, b) => a.length - b.length);
  const total = histogram.reduce((sum, { length, count }) => sum + length * count, 0);
  return { min: histogram.at(0)?.length ?? 0, mean: total / Math.max(1, captions.length), max: histogram.at(-1)?.length ?? 0, histogram };
}
