import { basename } from "node:path";
import { scoreCaptions, TOKENIZERS, type CaptionToScore, type TokenizerName } from "../caption/scoring.ts";
import { writeFileAtomically } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import { someOf } from "../data/findings.ts";
import { readSynonyms } from "../metrics/files.ts";
import { readCaptionFile, type CaptionedImage, type CaptionFile } from "./caption-files.ts";
import { counted } from "../core/format.ts";
import { perImageCsv } from "./per-image.ts";
import { scoreWarnings, scoringTerms, showLengths, showScores } from "./scores.ts";
import { note, print } from "./terminal.ts";

export interface ScoreOptions {
  readonly refs: string;
  readonly hyps: string;
  readonly tokenizer?: TokenizerName;
  readonly json?: boolean;
  readonly perImage?: string;
}

/** Longest caption: comparing two takes time with the product of their lengths. */
const MAX_LETTERS = 10_000;

/** Captions with their references, and the images that only one of the files has. */
export interface Pairing {
  readonly pictures: readonly CaptionToScore[];
  /** Images that have references and no caption. */
  readonly missing: readonly string[];
  /** Images that have a caption and no references. */
  readonly extra: readonly string[];
}

/** `sightline score`: scores captions that any program made. */
export async function score({ refs, hyps, tokenizer = "words", json = false, perImage }: ScoreOptions): Promise<number> {
  const [references, hypotheses, synonyms] = await Promise.all([readCaptionFile(refs), readCaptionFile(hyps), readSynonyms()]);
  for (const line of [...references.notes, ...hypotheses.notes]) note(`note: ${line}`);
  const { pictures, missing, extra } = pairCaptions(references, hypotheses, refs, hyps);
  note(`scoring ${counted(pictures.length, "caption")}`); // 40,000 take half a minute
  const { scores, byImage } = scoreCaptions(pictures, { tokenizer, synonyms });
  const notices = [
    ...(missing.length === 0 ? [] : [`${counted(missing.length, "image")} of ${references.images.length} in ${refs} without a caption in ${hyps}, not scored (${someOf(missing)})`]),
    ...(extra.length === 0 ? [] : [`${counted(extra.length, "caption")} of ${hypotheses.images.length} in ${hyps} without references in ${refs}, not scored (${someOf(extra)})`]),
    ...scoreWarnings(scores),
  ];
  for (const line of notices) note(`note: ${line}`);
  if (perImage !== undefined) {
    await writeFileAtomically(perImage, [Buffer.from(perImageCsv(pictures.map((picture, i) => ({ ...picture, scores: byImage[i] }))))]);
    note(`scores of each image ${perImage}`);
  }
  if (json) {
    const unpaired = { missing: missing.length, extra: extra.length };
    print(JSON.stringify({ refs, hyps, tokeniser: TOKENIZERS[tokenizer].about, ...unpaired, notes: [...references.notes, ...hypotheses.notes, ...notices], scores }));
    return 0;
  }
  print(`scores of ${hyps} against ${refs}: ${scoringTerms(scores, "those of the files", "decoding as in the file")}`);
  for (const line of showScores(scores)) print(line);
  print();
  for (const line of showLengths(scores)) print(line);
  return 0;
}

/**
 * Finds each caption's references, by the image's name, its number, or its file name without folders and ending.
 * @throws InputError if nothing matches, or the captions of an image are not exactly one.
 */
export function pairCaptions(references: CaptionFile, hypotheses: CaptionFile, refs: string, hyps: string): Pairing {
  if (references.kind !== hypotheses.kind) {
    const [named, bare] = references.kind === "named" ? [refs, hyps] : [hyps, refs];
    throw new InputError(`${hyps}: captions and references must both name their images, or both be plain lines; got names in ${named} and none in ${bare}`, `begin ${bare} with a line "image", tab, "caption", and each line with an image's name and a tab`);
  }
  if (references.kind === "lines" && references.images.length !== hypotheses.images.length) {
    throw new InputError(`${hyps}: plain lines must be as many as the references'; got ${hypotheses.images.length} lines, and ${references.images.length} in ${refs}`, "leave a line empty where a caption is, or name the images");
  }
  const several = hypotheses.images.filter(({ captions }) => captions.length > 1);
  if (several.length > 0) {
    throw new InputError(`${hyps}: each image must have one caption; got ${several[0].captions.length} of ${several[0].image}${several.length > 1 ? `, and more than one of ${counted(several.length - 1, "other image")}` : ""}`, "keep the best of each");
  }
  const find = finder(references.images);
  const captionOf = new Map<CaptionedImage, CaptionedImage>();
  const extra: string[] = [];
  for (const hypothesis of hypotheses.images) {
    const image = find(hypothesis);
    const other = image && captionOf.get(image);
    if (other !== undefined) throw new InputError(`${hyps}: each image must have one caption; got those of ${other.image} and ${hypothesis.image}, which are both ${image?.image}`, "keep one of them");
    if (image === undefined) extra.push(hypothesis.image);
    else captionOf.set(image, hypothesis);
  }
  if (captionOf.size === 0) {
    throw new InputError(`${hyps}: at least one caption must be of an image of ${refs}; got ${someOf(extra)} there, and ${someOf(references.images.map(({ image }) => image))} here`, "images are matched by name or number");
  }
  const pictures = Array.from(captionOf, ([{ image, captions }, hypothesis]) => ({ name: image, caption: hypothesis.captions[0], references: captions }));
  for (const { name, caption, references: list } of pictures) {
    if (list.every((reference) => reference.trim() === "")) throw new InputError(`${refs}: each image must have a reference; got none of ${name}`, "add one, or take the image out of both files");
    const longest = [caption, ...list].find(({ length }) => length > MAX_LETTERS);
    if (longest !== undefined) throw new InputError(`${name}: a caption must have at most ${MAX_LETTERS} letters; got ${longest.length}`, "is a line break missing in the file?");
  }
  return { pictures, missing: references.images.filter((image) => !captionOf.has(image)).map(({ image }) => image), extra };
}

/** Finds an image by the surest name that it has in common with one of the list. */
function finder(images: readonly CaptionedImage[]): (wanted: CaptionedImage) => CaptionedImage | undefined {
  const known = [0, 1, 2, 3].map(() => new Map<string, CaptionedImage | null>());
  for (const image of images) {
    for (const [level, name] of namesOf(image).entries()) {
      const same = known[level].get(name);
      known[level].set(name, same === undefined || same === image ? image : null); // null: several are called so
    }
  }
  return (wanted) => {
    const names = namesOf(wanted);
    return known.map((byName, level) => byName.get(names[level])).find((image) => image != null) ?? undefined;
  };
}

/** What an image can be called, from sure to likely: its name; its file; the file without ending; its number. */
function namesOf({ image, id }: CaptionedImage): readonly string[] {
  const path = image.replaceAll("\\", "/").replace(/^(?:\.\/)+/, "");
  const file = basename(path).toLowerCase();
  const stem = file.replace(/\.(?:jpe?g|png|webp|gif|bmp)$/, "");
  // COCO's picture 42 is COCO_val2014_000000000042.jpg or 000000000042.jpg.
  const number = id ?? /^(?:coco_.*_)?0*(\d+)$/.exec(stem)?.[1] ?? stem;
  return [path, file, stem, number];
}
