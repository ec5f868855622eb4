import { InputError } from "../core/errors.ts";
import { splitTag } from "../data/language-tag.ts";
import type { PictureSet, SceneSet } from "../data/pictures.ts";
import { pictureBatch } from "../train/batches.ts";
import type { Captioner } from "./captioner.ts";
import { scoreCaptions, type CaptionScores, type CaptionToScore, type Scores, type ScoringOptions } from "./scoring.ts";
import type { DescribeOptions } from "./teller.ts";

/** Pictures that are captioned at a time. */
const BATCH = 32;

/** One picture with what the model says of it. */
export interface EvaluatedPicture {
  /** In the set. */
  readonly index: number;
  readonly name: string;
  readonly caption: string;
  /** Of the caption's words, with the end word where there is one. */
  readonly ids: readonly number[];
  /** Without language tags. */
  readonly references: readonly string[];
  /** For scenes: whether every fact is right. */
  readonly right?: boolean;
  /** For scenes: whether the picture shows a colour on a shape that training never showed together. */
  readonly heldOut?: boolean;
  readonly scores: CaptionScores;
}

/** What a captioner says of a set of pictures in one language, and how good that is. */
export interface Evaluation {
  /** The tag of the language that was asked for and scored, such as `<de>`; null where captions and captioner know none. */
  readonly language: string | null;
  readonly pictures: readonly EvaluatedPicture[];
  readonly scores: Scores;
}

interface Said extends CaptionToScore {
  readonly index: number;
  readonly ids: readonly number[];
}

/**
 * Captions all pictures of a set and scores them against all their references; with METEOR where `synonyms` are given.
 *
 * Where captions carry language tags that the captioner knows, each language is a round of its own: the captioner is asked to speak
 * it, and only references of that language count. Pictures without any are left out of the round. With `options.language` there
 * is this round alone.
 * @returns At least one; in the order of the captioner's languages.
 * @throws InputError if the set has no caption in `options.language`, or is empty.
 */
export async function evaluate(captioner: Captioner, set: PictureSet | SceneSet, options: DescribeOptions & ScoringOptions = {}, onProgress?: (done: number, total: number) => void): Promise<readonly Evaluation[]> {
  const { tokenizer, synonyms, ...asked } = options;
  const rounds = roundsOf(captioner, set, asked.language);
  const total = rounds.reduce((sum, { indices }) => sum + indices.length, 0);
  const evaluations: Evaluation[] = [];
  let before = 0;
  for (const { language, indices, referencesOf } of rounds) {
    const pictures: Said[] = [];
    for (let first = 0; first < indices.length; first += BATCH) {
      const batch = indices.slice(first, first + BATCH);
      const texts = await captioner.describeBatch(await pictureBatch(set, batch, captioner.preprocessing), { ...asked, language: language ?? asked.language });
      texts.forEach(([{ text, ids }], i) => pictures.push({ index: batch[i], name: set.name(batch[i]), caption: text, ids, references: referencesOf(batch[i]), ...factsOf(set, batch[i], text, language) }));
      onProgress?.(before + pictures.length, total);
    }
    before += indices.length;
    const { scores, byImage } = scoreCaptions(pictures, { tokenizer, synonyms });
    evaluations.push({ language, pictures: pictures.map(({ facts, ...picture }, i) => ({ ...picture, ...facts, scores: byImage[i] })), scores });
  }
  return evaluations;
}

interface Round {
  readonly language: string | null;
  /** Of the pictures that have a reference. */
  readonly indices: readonly number[];
  referencesOf(index: number): readonly string[];
}

function roundsOf({ codec }: Captioner, set: PictureSet, asked: string | undefined): Round[] {
  const all = Array.from({ length: set.length }, (_, index) => index);
  const tagsOf = (index: number): readonly (string | undefined)[] => set.captions(index).map((caption) => splitTag(caption).tag);
  const tags = new Set(codec.languages.length === 0 ? [] : all.flatMap(tagsOf));
  const known = codec.languages.filter((tag) => tags.has(tag));
  if (known.length === 0) return [{ language: null, indices: all, referencesOf: (index) => set.captions(index).map((caption) => splitTag(caption).rest) }];
  if (asked !== undefined && !known.includes(asked)) {
    throw new InputError(`evaluate: the language must be one that the captioner knows and the pictures have captions in, ${known.join(", ")}; got ${asked}`);
  }
  return known.filter((tag) => asked === undefined || tag === asked).map((language) => ({
    language,
    indices: all.filter((index) => tagsOf(index).includes(language)),
    referencesOf: (index) => set.captions(index).flatMap((caption) => (splitTag(caption).tag === language ? [splitTag(caption).rest] : [])),
  }));
}

/** For scenes: what their grammar says of a text, which must be in its language where there is one. */
function factsOf(set: PictureSet | SceneSet, index: number, text: string, language: string | null): Pick<CaptionToScore, "facts"> {
  if (!("scene" in set)) return {};
  return { facts: { right: set.right(index, language === null ? text : `${language} ${text}`), heldOut: set.scene(index).heldOut } };
}
