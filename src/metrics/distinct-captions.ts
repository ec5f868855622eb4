/** How many different captions a model gave: the quickest sign of one that says the same of every image. */
export interface DistinctCaptions {
  readonly distinct: number;
  /** `distinct` divided by the number of captions; 0 of none. */
  readonly share: number;
  /** The caption that is said most often, and of how many images; of equally frequent ones the first. Empty where there is none. */
  readonly commonest: { readonly caption: string; readonly count: number };
}

/** Captions that differ only in the white space around them count as the same. */
export function distinctCaptions(captions: readonly string[]): DistinctCaptions {
  const counts = new Map<string, number>();
  for (const caption of captions.map((text) => text.trim())) counts.set(caption, (counts.get(caption) ?? 0) + 1);
  const [caption, count] = [...counts].reduce((most, entry) => (entry[1] > most[1] ? entry : most), ["", 0]);
  return { distinct: counts.size, share: captions.length === 0 ? 0 : counts.size / captions.length, commonest: { caption, count } };
}
