import { InputError } from "../core/errors.ts";

export const PAD = 0;
export const START = 1;
export const END = 2;
export const UNKNOWN = 3;

const SPECIAL_WORDS = ["<pad>", "<start>", "<end>", "<unk>"] as const;

/** A {@link Vocabulary} as it is stored in JSON: the words in the order of their ids. */
export interface VocabularyJson {
  readonly words: readonly string[];
}

/** The words of a text: lower-case, punctuation and symbols taken out, split on white space. */
export function wordsOf(text: string): string[] {
  const bare = text.toLowerCase().replace(/[\p{P}\p{S}]/gu, "");
  return bare.split(/\s+/u).filter((word) => word !== "");
}

/** Words and their ids, with `<pad>` 0, `<start>` 1, `<end>` 2 and `<unk>` 3. */
export class Vocabulary {
  /** By id. */
  readonly words: readonly string[];
  private readonly ids: ReadonlyMap<string, number>;

  /** @throws InputError unless the words begin with the four special ones and none occurs twice. */
  constructor(words: readonly string[]) {
    const begin = words.slice(0, SPECIAL_WORDS.length);
    if (SPECIAL_WORDS.some((word, id) => begin[id] !== word)) {
      throw new InputError(
        `Vocabulary: the first words must be ${SPECIAL_WORDS.join(" ")}; got ${begin.join(" ") || "none"}`,
        "list the words in the order of their ids",
      );
    }
    const ids = new Map(words.map((word, id) => [word, id]));
    if (ids.size !== words.length) {
      const twice = words.find((word, id) => ids.get(word) !== id);
      throw new InputError(`Vocabulary: each word must have one id; got "${twice}" more than once`);
    }
    this.words = words;
    this.ids = ids;
  }

  /**
   * The vocabulary of a set of captions: words that occur at least `minFrequency` times, the most frequent first,
   * equally frequent ones in the order of their code units.
   */
  static build(captions: Iterable<string>, minFrequency: number): Vocabulary {
    const counts = new Map<string, number>();
    for (const caption of captions) {
      for (const word of wordsOf(caption)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    const kept = [...counts].filter(([, count]) => count >= minFrequency);
    kept.sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1));
    return new Vocabulary([...SPECIAL_WORDS, ...kept.map(([word]) => word)]);
  }

  /** @throws InputError if the value is not what {@link toJSON} gives. */
  static fromJson(value: unknown): Vocabulary {
    const words = typeof value === "object" && value !== null && "words" in value ? value.words : undefined;
    if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
      throw new InputError('Vocabulary: the JSON must be {"words": [strings]}; got another', "is it the vocabulary's file?");
    }
    return new Vocabulary(words);
  }

  /** Named as JSON.stringify looks for it. */
  toJSON(): VocabularyJson {
    return { words: this.words };
  }

  get size(): number {
    return this.words.length;
  }

  /** The id of one word, {@link UNKNOWN} if it has none. */
  idOf(word: string): number {
    return this.ids.get(word) ?? UNKNOWN;
  }

  /**
   * Start, the words, end.
   * @param maxLength Most ids to give, start and end included; words beyond are dropped, the end is kept.
   * @throws InputError if maxLength is below 2.
   */
  encode(text: string, maxLength = Infinity): number[] {
    if (!(maxLength >= 2)) {
      throw new InputError(`Vocabulary.encode: maxLength must be at least 2, for start and end; got ${maxLength}`);
    }
    const words = wordsOf(text);
    return [START, ...words.slice(0, maxLength - 2).map((word) => this.idOf(word)), END];
  }

  /**
   * The words of ids up to the first end, joined by spaces; start and padding are left out.
   * @throws InputError for an id that no word has.
   */
  decode(ids: Iterable<number>): string {
    const words: string[] = [];
    for (const id of ids) {
      if (id === END) break;
      if (id === START || id === PAD) continue;
      if (this.words[id] === undefined) {
        throw new InputError(
          `Vocabulary.decode: ids must be 0 to ${this.size - 1}; got ${id}`,
          "the vocabulary belongs to another checkpoint",
        );
      }
      words.push(this.words[id]);
    }
    return words.join(" ");
  }
}
