import { InputError, shown } from "../core/errors.ts";
import { isTag, splitTag } from "./language-tag.ts";
import type { TextCodec } from "./text-codec.ts";
import { drain, leadingTag, unframed, type TextFrame } from "./text-frame.ts";
import type { TokenStream } from "./tokenizer.ts";

export const PAD = 0;
export const START = 1;
export const END = 2;
export const UNKNOWN = 3;

const SPECIAL_WORDS = ["<pad>", "<start>", "<end>", "<unk>"] as const;

/** Other names of the special words in published vocabularies; upper case too. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([["<sos>", "<start>"], ["<bos>", "<start>"], ["<eos>", "<end>"]]);

// What Python's `str.split()` takes for white space; JavaScript's `\s` has U+FEFF too, and lacks U+001C to U+001F and U+0085.
// eslint-disable-next-line no-control-regex
const PYTHON_SPACE = /[\u001C-\u001F\p{White_Space}]+/u;

const SIGN = /[\p{P}\p{S}]/u;
const SIGNS = new RegExp(SIGN, "gu");
const ASCII_SIGNS = /[!-/:-@[-`{-~]/g;

/** The words that end a sentence. */
const ENDS: ReadonlySet<string> = new Set([".", "!", "?"]);

const PUNCTUATION = ["unicode", "sentences", "ascii"] as const;

/**
 * What is stripped off: all of Unicode's punctuation and symbols; the same but for the `.`, `!` or `?` that ends a
 * sentence, which is a word of its own; or as published the 32 of Python's `string.punctuation`. The published way knows
 * no language tags either.
 */
export type Punctuation = (typeof PUNCTUATION)[number];

/**
 * Which of the kept words comes first: the most frequent one, equally frequent ones in the order of their code units;
 * or as published, the one that occurs first in the captions (`Counter.items()`), or the one whose count reaches the
 * least frequency first (`if frequencies[word] == threshold`).
 */
export type WordOrder = "frequency" | "occurrence" | "threshold";

export interface VocabularyOptions {
  /** Default `unicode`. */
  readonly punctuation?: Punctuation;
}

/** A {@link Vocabulary} as it is stored in JSON: the words in the order of their ids. */
export interface VocabularyJson {
  readonly kind?: "words";
  readonly words: readonly string[];
  /** Without it: `unicode`. */
  readonly punctuation?: Punctuation;
}

/**
 * The words of a text: lower-case, punctuation taken out, split on white space; a language tag at the beginning stays
 * whole. Letters with accents are one character each (NFC), however they were typed.
 */
export function wordsOf(text: string, punctuation: Punctuation = "unicode"): string[] {
  if (punctuation === "ascii") return text.toLowerCase().replace(ASCII_SIGNS, "").split(PYTHON_SPACE).filter((word) => word !== "");
  const { tag, rest } = splitTag(text);
  const words = tag === undefined ? [] : [tag];
  for (const piece of rest.normalize("NFC").toLowerCase().split(/\s+/u)) {
    const word = piece.replace(SIGNS, "").normalize("NFC"); // an accent may have followed a sign
    if (word !== "") words.push(word);
    if (punctuation === "sentences") addSentenceEnd(piece, words);
  }
  return words;
}

/** A sentence ends where none but signs follow before the next space. None is empty, so several ends in a row, or apart, are one. */
function addSentenceEnd(piece: string, words: string[]): void {
  const last = words.at(-1);
  if (last === undefined || isTag(last) || ENDS.has(last)) return;
  const characters = [...piece];
  const end = characters.slice(characters.findLastIndex((character) => !SIGN.test(character)) + 1).find((sign) => sign === "…" || ENDS.has(sign));
  if (end !== undefined) words.push(end === "…" ? "." : end);
}

/** Words and their ids, with `<pad>` 0, `<start>` 1, `<end>` 2 and `<unk>` 3. */
export class Vocabulary implements TextCodec {
  readonly pad = PAD;
  readonly start = START;
  readonly end = END;
  readonly tags: TextFrame["tags"];
  /** By id. */
  readonly words: readonly string[];
  readonly punctuation: Punctuation;
  private readonly ids: ReadonlyMap<string, number>;

  /** @throws InputError unless the words begin with the four special ones and none occurs twice. */
  constructor(words: readonly string[], { punctuation = "unicode" }: VocabularyOptions = {}) {
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
    this.punctuation = punctuation;
    this.ids = ids;
    this.tags = new Map([...words.entries()].filter(([, word]) => isTag(word)));
  }

  /**
   * The vocabulary of a set of captions: words that occur at least `minFrequency` times.
   * Published: a least frequency of 5, `punctuation: "ascii"`, and either of the published orders; most have `threshold`.
   */
  static build(captions: Iterable<string>, minFrequency: number, { punctuation = "unicode", order = "frequency" }: VocabularyOptions & { readonly order?: WordOrder } = {}): Vocabulary {
    const least = Math.max(1, Math.ceil(minFrequency));
    const counts = new Map<string, number>();
    const reached: string[] = [];
    for (const caption of captions) {
      for (const word of wordsOf(caption, punctuation)) {
        const count = (counts.get(word) ?? 0) + 1;
        counts.set(word, count);
        if (count === least) reached.push(word);
      }
    }
    const kept = order === "threshold" ? reached : [...counts.keys()].filter((word) => (counts.get(word) ?? 0) >= least);
    if (order === "frequency") kept.sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || (a < b ? -1 : 1));
    return new Vocabulary([...SPECIAL_WORDS, ...kept], { punctuation });
  }

  /**
   * @param name For error messages.
   * @throws InputError if the value is not what {@link toJSON} gives.
   */
  static fromJson(value: unknown, name = "Vocabulary"): Vocabulary {
    const { words, punctuation = "unicode" }: Readonly<Record<string, unknown>> = typeof value === "object" && value !== null ? { ...value } : {};
    if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
      throw new InputError(`${name}: the JSON must be {"words": [strings]}; got another`, "is it the vocabulary's file?");
    }
    const known = PUNCTUATION.find((kind) => kind === punctuation);
    if (known === undefined) throw new InputError(`${name}: punctuation must be "unicode", "sentences" or "ascii"; got ${shown(punctuation)}`);
    return new Vocabulary(words, { punctuation: known });
  }

  /** Named as JSON.stringify looks for it. */
  toJSON(): VocabularyJson {
    return { kind: "words", words: this.words, punctuation: this.punctuation };
  }

  get size(): number {
    return this.words.length;
  }

  get languages(): readonly string[] {
    return [...this.tags.values()];
  }

  /** The id of one word, {@link UNKNOWN} if it has none. */
  idOf(word: string): number {
    return this.ids.get(word) ?? UNKNOWN;
  }

  /** The ids of the words, {@link UNKNOWN} for those that have none; no start, no end. */
  encode(text: string): number[] {
    return wordsOf(text, this.punctuation).map((word) => this.idOf(word));
  }

  /**
   * The words of ids up to the first end, joined by spaces; start, padding and the language tag are left out.
   * @throws InputError for an id that no word has.
   */
  decode(ids: Iterable<number>): string {
    return drain(this.stream(), ids);
  }

  stream(): TokenStream {
    let begun = false;
    return unframed(this, {
      push: (id) => {
        const word = this.words[id];
        if (word === undefined) {
          throw new InputError(`Vocabulary.decode: ids must be 0 to ${this.size - 1}; got ${id}`, "the vocabulary belongs to another checkpoint");
        }
        const apart = begun && !(this.punctuation === "sentences" && ENDS.has(word));
        begun = true;
        return apart ? ` ${word}` : word;
      },
      end: () => {
        begun = false;
        return "";
      },
    });
  }

  languageOf(ids: Iterable<number>): string | undefined {
    return leadingTag(this, ids);
  }
}

/** Attributes under which published vocabulary classes keep their words: words by id, and ids by word. */
const BY_ID = ["itos", "idx2word"];
const BY_WORD = ["stoi", "word2idx"];

/**
 * A vocabulary that was pickled in Python: an object, dict or inert record with `itos` and `stoi`, or `idx2word` and
 * `word2idx`; one of a pair is enough. Dicts may be Maps or plain objects, `itos` a list too. `<PAD>`, `<SOS>`, `<EOS>`
 * and the like are known as special words.
 * @param name For error messages.
 * @throws InputError if there is none of them, if ids are not 0 and on without gaps, or if the two of a pair disagree.
 */
export function vocabularyFromRecord(value: unknown, name = "vocab.pkl", options: VocabularyOptions = { punctuation: "ascii" }): Vocabulary {
  const attributes = new Map(entriesOf(stateOf(value)));
  const find = (names: readonly string[]) => names.find((attribute) => attributes.has(attribute));
  const [byId, byWord] = [find(BY_ID), find(BY_WORD)];
  if (byId === undefined && byWord === undefined) {
    const held = [...attributes.keys()].slice(0, 5).map(String).join(", ");
    throw new InputError(`${name}: the vocabulary must have one of ${[...BY_ID, ...BY_WORD].join(", ")}; got ${held || "no attributes"}`, "is it the vocabulary's file?");
  }
  const turned = entriesOf(attributes.get(byWord ?? "")).map(([word, id]): [unknown, unknown] => [id, word]);
  const words = byId === undefined ? wordsById(turned, `${name}, ${byWord}`) : wordsById(entriesOf(attributes.get(byId)), `${name}, ${byId}`);
  if (byId !== undefined && byWord !== undefined) {
    const others = wordsById(turned, `${name}, ${byWord}`);
    const id = Array.from({ length: Math.max(words.length, others.length) }, (_, place) => place).find((place) => words[place] !== others[place]);
    if (id !== undefined) {
      throw new InputError(`${name}: ${byId} and ${byWord} must have the same words; got ${shown(words[id] ?? null)} and ${shown(others[id] ?? null)} at id ${id}`);
    }
  }
  const special = words.slice(0, SPECIAL_WORDS.length).map((word) => SYNONYMS.get(word.toLowerCase()) ?? word.toLowerCase());
  return new Vocabulary([...special, ...words.slice(SPECIAL_WORDS.length)], options);
}

/** The attributes of an instance, which an inert record keeps as its `state`. */
function stateOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "class" in value && "state" in value ? value.state : value;
}

/** The entries of a dict (a Map, a plain object, or a record of a kind of dict), or those of a list with their places. */
function entriesOf(value: unknown): readonly [unknown, unknown][] {
  if (value instanceof Map) return [...value];
  if (typeof value !== "object" || value === null) return [];
  return "entries" in value && value.entries instanceof Map ? [...value.entries] : Object.entries(value);
}

function wordsById(entries: readonly [unknown, unknown][], name: string): readonly string[] {
  const words: string[] = [];
  for (const [key, word] of entries) {
    const id = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : key; // keys of plain objects are strings
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= entries.length || words[id] !== undefined) {
      throw new InputError(`${name}: ids of ${entries.length} words must be 0 to ${entries.length - 1}, each once; got ${shown(String(key))}`);
    }
    if (typeof word !== "string") throw new InputError(`${name}: words must be strings; got ${shown(String(word))} at id ${id}`);
    words[id] = word;
  }
  return words;
}
