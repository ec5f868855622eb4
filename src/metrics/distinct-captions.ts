/** How many different captions a model gave: the quickest sign of one that says the same of every image. */
export interface DistinctCaptions {
  readonly distinct: number;
  /** `distinct` divided by the number of captions; 0 of none. */
  readonly share: number;
}

/** Captions that differ only in the white space around them count as the same. */
export function distinctCaptions(captions: readonly string[]): DistinctCaptions {
  const distinct = new Set(captions.map((caption) => caption.trim())).size;
  return { distinct, share: captions.length === 0 ? 0 : distinct / captions.length };
}
