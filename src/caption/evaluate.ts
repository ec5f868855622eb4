import type { PictureSet, SceneSet } from "../data/pictures.ts";
import { parseCaption, sameFacts } from "../data/scene-grammar.ts";
import { wordsOf } from "../data/vocabulary.ts";
import { bleu } from "../metrics/bleu.ts";
import { cider } from "../metrics/cider.ts";
import { distinctCaptions } from "../metrics/distinct-captions.ts";
import { rougeL } from "../metrics/rouge.ts";
import { tokenOverlap } from "../metrics/token-overlap.ts";
import { pictureBatch } from "../train/batches.ts";
import type { Captioner, DescribeOptions } from "./captioner.ts";

/** Pictures that are captioned at a time. */
const BATCH = 32;

/** One picture with what the model says of it. */
export interface EvaluatedPicture {
  readonly index: number;
  readonly name: string;
  readonly caption: string;
  readonly references: readonly string[];
  /** Whether the caption is one of the references word for word. */
  readonly exact: boolean;
  /** For scenes: whether every fact is right. */
  readonly right?: boolean;
  /** For scenes: whether the picture shows a colour on a shape that training never showed together. */
  readonly heldOut?: boolean;
}

/** A share of some pictures. */
export interface Share {
  readonly count: number;
  readonly of: number;
}

/** Scores over a set of pictures; all but counts lie in 0 … 1, CIDEr-D in 0 … 10. */
export interface Scores {
  readonly images: number;
  readonly referencesPerImage: number;
  readonly bleu: readonly number[];
  readonly rougeL: number;
  readonly cider: number;
  readonly tokenF1: number;
  readonly distinct: number;
  readonly exact: Share;
  /** Scenes with every fact right, among those whose colours and shapes were trained together. */
  readonly factsRight?: Share;
  /** The same for scenes with a pair of colour and shape that training never showed. */
  readonly factsRightHeldOut?: Share;
}

export interface Evaluation {
  readonly pictures: readonly EvaluatedPicture[];
  readonly scores: Scores;
}

/** Captions all pictures of a set and scores them against all their references. */
export async function evaluate(captioner: Captioner, set: PictureSet | SceneSet, options: DescribeOptions = {}, onProgress?: (done: number, total: number) => void): Promise<Evaluation> {
  const pictures: EvaluatedPicture[] = [];
  for (let first = 0; first < set.length; first += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, set.length - first) }, (_, i) => first + i);
    const captions = await captioner.describeBatch(await pictureBatch(set, indices, captioner.preprocessing), options);
    captions.forEach(({ text }, i) => pictures.push(markCaption(set, indices[i], text)));
    onProgress?.(pictures.length, set.length);
  }
  return { pictures, scores: score(pictures) };
}

function markCaption(set: PictureSet | SceneSet, index: number, caption: string): EvaluatedPicture {
  const references = set.captions(index);
  const plain = wordsOf(caption).join(" ");
  const exact = references.some((reference) => wordsOf(reference).join(" ") === plain);
  const marked = { index, name: set.name(index), caption, references, exact };
  if (!("scene" in set)) return marked;
  const scene = set.scene(index);
  const facts = parseCaption(caption);
  return { ...marked, right: facts !== null && sameFacts(facts, scene), heldOut: scene.heldOut };
}

/** Scores of captions that are marked already. */
export function score(pictures: readonly EvaluatedPicture[]): Scores {
  const hypotheses = pictures.map(({ caption }) => wordsOf(caption));
  const references = pictures.map((picture) => picture.references.map((reference) => wordsOf(reference)));
  const scenes = pictures.filter(({ right }) => right !== undefined);
  const factsRight = (heldOut: boolean): Share => {
    const some = scenes.filter((picture) => picture.heldOut === heldOut);
    return { count: some.filter(({ right }) => right).length, of: some.length };
  };
  return {
    images: pictures.length,
    referencesPerImage: references.reduce((sum, { length }) => sum + length, 0) / pictures.length,
    bleu: bleu(hypotheses, references).scores,
    rougeL: rougeL(hypotheses, references).score,
    cider: cider(hypotheses, references).score,
    tokenF1: tokenOverlap(hypotheses, references).f1,
    distinct: distinctCaptions(pictures.map(({ caption }) => caption)).distinct,
    exact: { count: pictures.filter(({ exact }) => exact).length, of: pictures.length },
    ...(scenes.length === 0 ? {} : { factsRight: factsRight(false), factsRightHeldOut: factsRight(true) }),
  };
}
