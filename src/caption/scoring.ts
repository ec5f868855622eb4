import { wordsOf } from "../data/vocabulary.ts";
import { bleu, type BleuScores } from "../metrics/bleu.ts";
import { cider } from "../metrics/cider.ts";
import { cocoTokens } from "../metrics/coco-tokens.ts";
import { distinctCaptions, type DistinctCaptions } from "../metrics/distinct-captions.ts";
import { captionLengths, type Lengths } from "../metrics/lengths.ts";
import { meteor } from "../metrics/meteor.ts";
import { rougeScore, type RougeScores } from "../metrics/rouge-score.ts";
import { rougeL } from "../metrics/rouge.ts";
import type { Synonyms } from "../metrics/synonyms.ts";
import { tokenOverlap, type Overlap } from "../metrics/token-overlap.ts";

export const TOKENIZER_NAMES = ["words", "coco"] as const;
export type TokenizerName = (typeof TOKENIZER_NAMES)[number];

/** How captions and references are cut into tokens for all scores but rouge-score's, which has its own way. */
export const TOKENIZERS = {
  words: { tokens: (text: string): readonly string[] => wordsOf(text), about: "words in lower case, without punctuation" },
  coco: { tokens: cocoTokens, about: "tokens as coco-caption makes them" },
} as const satisfies Record<TokenizerName, unknown>;

/** A caption that a model gave, with what it is held against. */
export interface CaptionToScore {
  /** Of the picture. */
  readonly name: string;
  readonly caption: string;
  readonly references: readonly string[];
  /** For scenes: whether every fact is right, and whether the picture shows a pair that training left out. */
  readonly facts?: { readonly right: boolean; readonly heldOut: boolean };
}

/** A share of some pictures. */
export interface Share {
  readonly count: number;
  readonly of: number;
}

/** What one caption and a corpus are scored by; all 0 to 1, but for CIDEr-D, 0 to 10. */
interface CommonScores {
  readonly bleu: BleuScores;
  /** nltk's METEOR; absent where no synonyms were given. */
  readonly meteor?: number;
  /** ROUGE-L as coco-caption has it. */
  readonly rougeL: number;
  /** ROUGE-1, -2 and -L as rouge-score has them. */
  readonly rouge: RougeScores;
  readonly cider: number;
  readonly tokenPrecision: number;
  readonly tokenRecall: number;
  readonly tokenF1: number;
}

/** Scores of one caption. */
export interface CaptionScores extends CommonScores {
  /** Whether the caption is one of the references word for word. */
  readonly exact: boolean;
}

/** Scores over a set of pictures. */
export interface Scores extends CommonScores {
  readonly images: number;
  readonly referencesPerImage: number;
  readonly tokenizer: TokenizerName;
  readonly exact: Share;
  /** Different captions. */
  readonly distinct: number;
  readonly distinctShare: number;
  readonly commonest: DistinctCaptions["commonest"];
  /** Of the captions, in tokens. */
  readonly lengths: Lengths;
  /** Scenes with every fact right, among those whose colours and shapes were trained together. */
  readonly factsRight?: Share;
  /** The same for scenes with a pair of colour and shape that training never showed. */
  readonly factsRightHeldOut?: Share;
}

export interface ScoringOptions {
  /** Default `words`. */
  readonly tokenizer?: TokenizerName;
  /** What METEOR needs: in Node from `readSynonyms()`, in browsers from `loadSynonyms(bytes)`. */
  readonly synonyms?: Synonyms;
}

/** Scores of a set and, in the same order, of each caption. */
export interface Scored {
  readonly scores: Scores;
  readonly byImage: readonly CaptionScores[];
}

/**
 * Scores captions against their references.
 * @throws InputError if there is no caption, or one without a reference.
 */
export function scoreCaptions(pictures: readonly CaptionToScore[], { tokenizer = "words", synonyms }: ScoringOptions = {}): Scored {
  const { tokens } = TOKENIZERS[tokenizer];
  const captions = pictures.map(({ caption }) => caption);
  const hypotheses = captions.map(tokens);
  const references = pictures.map((picture) => picture.references.map(tokens));
  const of = {
    bleu: bleu(hypotheses, references),
    rougeL: rougeL(hypotheses, references),
    rouge: rougeScore(captions, pictures.map((picture) => picture.references)),
    cider: cider(hypotheses, references),
    overlap: tokenOverlap(hypotheses, references),
    meteor: synonyms === undefined ? undefined : meteor(hypotheses, references, synonyms),
  };
  const byImage = pictures.map((picture, i): CaptionScores => ({
    exact: isReference(picture),
    bleu: of.bleu.byImage[i],
    ...(of.meteor === undefined ? {} : { meteor: of.meteor.byImage[i] }),
    rougeL: of.rougeL.byImage[i],
    rouge: of.rouge.byImage[i],
    cider: of.cider.byImage[i],
    ...named(of.overlap.byImage[i]),
  }));
  const { distinct, share, commonest } = distinctCaptions(captions);
  const scores: Scores = {
    images: pictures.length,
    referencesPerImage: references.reduce((sum, { length }) => sum + length, 0) / pictures.length,
    tokenizer,
    bleu: of.bleu.scores,
    ...(of.meteor === undefined ? {} : { meteor: of.meteor.score }),
    rougeL: of.rougeL.score,
    rouge: of.rouge.scores,
    cider: of.cider.score,
    ...named(of.overlap),
    exact: { count: byImage.filter(({ exact }) => exact).length, of: pictures.length },
    distinct,
    distinctShare: share,
    commonest,
    lengths: captionLengths(hypotheses),
    ...factScores(pictures),
  };
  return { scores, byImage };
}

function named({ precision, recall, f1 }: Overlap): Pick<Scores, "tokenPrecision" | "tokenRecall" | "tokenF1"> {
  return { tokenPrecision: precision, tokenRecall: recall, tokenF1: f1 };
}

function isReference({ caption, references }: CaptionToScore): boolean {
  const plain = wordsOf(caption).join(" ");
  return references.some((reference) => wordsOf(reference).join(" ") === plain);
}

function factScores(pictures: readonly CaptionToScore[]): Pick<Scores, "factsRight" | "factsRightHeldOut"> {
  const facts = pictures.flatMap((picture) => picture.facts ?? []);
  const share = (isHeldOut: boolean): Share => {
    const some = facts.filter(({ heldOut }) => heldOut === isHeldOut);
    return { count: some.filter(({ right }) => right).length, of: some.length };
  };
  return facts.length === 0 ? {} : { factsRight: share(false), factsRightHeldOut: share(true) };
}
