import type { CaptionFormat } from "./captions.ts";
import { cocoCaptions } from "./captions-coco.ts";
import { captionsCsv } from "./captions-csv.ts";
import { karpathy } from "./captions-karpathy.ts";
import { flickrResults } from "./captions-results.ts";
import { stories } from "./captions-stories.ts";
import { flickrTokens } from "./captions-token.ts";

/**
 * Every format that captions are read in. Where a folder holds several, the first counts: a Karpathy JSON brings splits with
 * it, and captions.txt and stories.txt are written by whoever made the folder; then what data sets are published as.
 */
export const CAPTION_FORMATS: readonly CaptionFormat[] = [karpathy, captionsCsv, stories, cocoCaptions, flickrTokens, flickrResults];

/** Of these, the special ones first: a line of Flickr's could also be read as a story. */
const BY_CONTENT: readonly CaptionFormat[] = [karpathy, cocoCaptions, flickrTokens, flickrResults, captionsCsv, stories];

/** Endings of files that may hold captions under any name. */
export const TEXT_NAME = /\.(?:txt|csv|tsv|json|token)$/i;

/**
 * The format of a file: what its contents look like, else what its name says; undefined for other files.
 * @param name Without folders.
 * @param sample Its first and last characters.
 */
export function captionFormatOf(name: string, sample: string): CaptionFormat | undefined {
  return BY_CONTENT.find((format) => format.recognises(sample)) ?? CAPTION_FORMATS.find(({ fileName }) => fileName.test(name));
}
