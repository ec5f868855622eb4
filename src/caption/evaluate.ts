import type { PictureSet, SceneSet } from "../data/pictures.ts";
import { parseCaption, sameFacts } from "../data/scene-grammar.ts";
import { pictureBatch } from "../train/batches.ts";
import type { Captioner } from "./captioner.ts";
import { scoreCaptions, type CaptionScores, type CaptionToScore, type Scores, type ScoringOptions } from "./scoring.ts";
import type { DescribeOptions } from "./teller.ts";

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
  readonly scores: CaptionScores;
}

export interface Evaluation {
  readonly pictures: readonly EvaluatedPicture[];
  readonly scores: Scores;
}

/** Captions all pictures of a set and scores them against all their references; with METEOR where `synonyms` are given. */
export async function evaluate(captioner: Captioner, set: PictureSet | SceneSet, options: DescribeOptions & ScoringOptions = {}, onProgress?: (done: number, total: number) => void): Promise<Evaluation> {
  const pictures: CaptionToScore[] = [];
  for (let first = 0; first < set.length; first += BATCH) {
    const indices = Array.from({ length: Math.min(BATCH, set.length - first) }, (_, i) => first + i);
    const captions = await captioner.describeBatch(await pictureBatch(set, indices, captioner.preprocessing), options);
    captions.forEach(([{ text }], i) => pictures.push(withReferences(set, indices[i], text)));
    onProgress?.(pictures.length, set.length);
  }
  const { scores, byImage } = scoreCaptions(pictures, options);
  const evaluated = pictures.map(({ facts, ...picture }, index) => ({ index, ...picture, ...facts, exact: byImage[index].exact, scores: byImage[index] }));
  return { pictures: evaluated, scores };
}

function withReferences(set: PictureSet | SceneSet, index: number, caption: string): CaptionToScore {
  const picture = { name: set.name(index), caption, references: set.captions(index) };
  if (!("scene" in set)) return picture;
  const scene = set.scene(index);
  const facts = parseCaption(caption);
  return { ...picture, facts: { right: facts !== null && sameFacts(facts, scene), heldOut: scene.heldOut } };
}
