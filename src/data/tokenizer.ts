/** Text to the ids of a language model and back: GPT-2's byte-level byte-pair encoding. */

import { BPE } from "@huggingface/tokenizers";
import { InputError, shown } from "../core/errors.ts";
import { Sha256 } from "../core/sha256.ts";
import { bytesOfCharacters, charactersOf } from "./tokenizer-bytes.ts";
import type { BytePairs, HuggingFaceTokenizer } from "./tokenizer-pairs.ts";

export interface EncodeOptions {
  /**
   * Read the names of special tokens, such as `<|endoftext|>`, as these tokens. Default false: text that people wrote
   * is text, whatever it says.
   */
  readonly special?: boolean;
}

export interface DecodeOptions {
  /** Leave special tokens out. Default false: they appear by their names. */
  readonly skipSpecial?: boolean;
}

/** Decodes tokens as they come. */
export interface TokenStream {
  /**
   * The text that this token completes: empty while a character lacks bytes.
   * @throws InputError for an id that no token has.
   */
  push(id: number): string;
  /** What is left at the end: U+FFFD if a character lacks bytes, else nothing. The stream can be used again. */
  end(): string;
}

export interface Tokenizer {
  /** Ids are 0 to one below it. */
  readonly vocabularySize: number;
  /** The id that ends a text; GPT-2 has no other for its start or for padding. */
  readonly endOfText: number;
  /** Names and ids, in the order of the ids, of the tokens that text gives only where they are asked for by name. */
  readonly special: ReadonlyMap<string, number>;
  /** Hexadecimal; equal where, and only where, every text gets the same ids. A checkpoint keeps it. */
  readonly fingerprint: string;
  /** The ids of a text. What is not Unicode (half a surrogate pair) becomes U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * The text of ids. Bytes that are not UTF-8 become U+FFFD.
   * @throws InputError for an id that no token has.
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  stream(options?: DecodeOptions): TokenStream;
  /** What a checkpoint needs to make the tokeniser again, see `tokenizerFromDescription`. Named as JSON.stringify looks for it. */
  toJSON(): TokenizerJson;
}

/** What a checkpoint carries of its tokeniser: all of it, or only the name where it is GPT-2's own. */
export type TokenizerJson =
  | { readonly kind: "gpt2"; readonly fingerprint: string }
  | { readonly kind: "tokenizer.json"; readonly fingerprint: string; readonly endOfText: string; readonly tokenizer: HuggingFaceTokenizer };

/** Of GPT-2's own vocabulary. */
export const GPT2_FINGERPRINT = "d43b38af7abb7d583f789a49053985392d16756727c16a3b56b373d858993f9c";

const MAX_RUN = 100_000; // characters; where longer runs are cut, so that neither the regular expression's stack nor a merge's time has no bound
const MAX_CACHED = 50_000; // words

/**
 * GPT-2's words: contractions, then letters, numbers or other signs with a space before them, then white space.
 * White space is Unicode's, as in the published code; JavaScript's own `\s` takes U+FEFF for it and not U+0085.
 */
export const WORDS = new RegExp(
  String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+`.replaceAll("+", `{1,${MAX_RUN}}`),
  "gu",
);

/**
 * Byte-pair encoding over bytes. Text is cut into words, the bytes of each are merged in the order of the vocabulary's
 * merges, by Hugging Face's package. Every byte has a token, so decode(encode(text)) is the text.
 *
 * Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the same ids as openai/gpt-2's encoder.py.
 */
export class BytePairTokenizer implements Tokenizer {
  readonly endOfText: number;
  readonly special: ReadonlyMap<string, number>;
  private readonly pairs: BytePairs;
  private readonly ids: ReadonlyMap<string, number>;
  private readonly bpe: BPE;
  private readonly specialNames: RegExp;
  private readonly cache = new Map<string, readonly number[]>();
  private hash: string | undefined;

  /** @param pairs Checked by those who make it: see `tokenizerFromJson` and `tokenizerFromVocabAndMerges`. */
  constructor(pairs: BytePairs) {
    this.pairs = pairs;
    this.endOfText = pairs.endOfText;
    this.special = new Map([...pairs.special].map((id) => [pairs.tokens[id], id]));
    this.ids = new Map(pairs.tokens.map((token, id) => [token, id]));
    const names = [...this.special.keys()].sort((a, b) => b.length - a.length);
    this.specialNames = new RegExp(`(${names.map((name) => name.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|") || "(?!)"})`); // (?!) is found nowhere
    this.bpe = new BPE({ type: "BPE", vocab: {}, merges: pairs.merges.map(([left, right]): [string, string] => [left, right]), ignore_merges: false });
  }

  get vocabularySize(): number {
    return this.pairs.tokens.length;
  }

  get fingerprint(): string {
    if (this.hash === undefined) {
      const { tokens, merges, special, prefixSpace, endOfText } = this.pairs;
      const hasher = new Sha256();
      const named = { tokens, merges, special: [...special], prefixSpace, endOfText };
      hasher.update(new TextEncoder().encode(JSON.stringify(named)));
      this.hash = hasher.digest();
    }
    return this.hash;
  }

  encode(text: string, { special = false }: EncodeOptions = {}): number[] {
    const ids: number[] = [];
    if (!special) this.addWords(text, ids);
    else {
      // The names stand at odd places, because the expression captures them.
      for (const [place, piece] of text.split(this.specialNames).entries()) {
        if (place % 2 === 0) this.addWords(piece, ids);
        else ids.push(this.idOf(piece));
      }
    }
    return ids;
  }

  decode(ids: Iterable<number>, options?: DecodeOptions): string {
    const stream = this.stream(options);
    let text = "";
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  stream({ skipSpecial = false }: DecodeOptions = {}): TokenStream {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true }); // or U+FEFF at the start would vanish
    return {
      push: (id) => {
        const token = this.pairs.tokens[id];
        if (token === undefined) {
          throw new InputError(`Tokenizer.decode: ids must be 0 to ${this.vocabularySize - 1}; got ${id}`, "the tokeniser belongs to another model");
        }
        const isSpecial = this.pairs.special.has(id);
        if (isSpecial && skipSpecial) return "";
        return decoder.decode(isSpecial ? new TextEncoder().encode(token) : bytesOfCharacters(token), { stream: true });
      },
      end: () => decoder.decode(),
    };
  }

  toJSON(): TokenizerJson {
    const { fingerprint } = this;
    if (fingerprint === GPT2_FINGERPRINT) return { kind: "gpt2", fingerprint };
    const { tokens, merges, special, prefixSpace, endOfText } = this.pairs;
    return {
      kind: "tokenizer.json",
      fingerprint,
      endOfText: tokens[endOfText],
      tokenizer: {
        added_tokens: [...special].map((id) => ({ id, content: tokens[id], special: true })),
        normalizer: null,
        pre_tokenizer: { type: "ByteLevel", add_prefix_space: prefixSpace, trim_offsets: true, use_regex: true },
        decoder: { type: "ByteLevel" },
        model: { type: "BPE", vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
      },
    };
  }

  private addWords(text: string, ids: number[]): void {
    const spaced = this.pairs.prefixSpace && text !== "" && !text.startsWith(" ") ? ` ${text}` : text;
    for (const [word] of spaced.matchAll(WORDS)) {
      for (const id of this.idsOfWord(word)) ids.push(id);
    }
  }

  private idsOfWord(word: string): readonly number[] {
    const known = this.cache.get(word);
    if (known !== undefined) return known;
    const ids = this.bpe.bpe(charactersOf(word)).map((token) => this.idOf(token));
    if (this.cache.size < MAX_CACHED && word.length <= this.bpe.max_length_to_cache) this.cache.set(word, ids);
    return ids;
  }

  /** The loaders see to it that every token that can come here has one. */
  private idOf(token: string): number {
    const id = this.ids.get(token);
    if (id === undefined) throw new InputError(`Tokenizer.encode: the vocabulary must have every token; got none for ${shown(token)}`);
    return id;
  }
}
