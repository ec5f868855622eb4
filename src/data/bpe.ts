/** Learns a byte-pair vocabulary from texts: for data sets that GPT-2's 50,257 tokens are too many for. */

import { InputError } from "../core/errors.ts";
import { BytePairCodec } from "./bpe-codec.ts";
import { splitTag } from "./language-tag.ts";
import { MaxHeap } from "./max-heap.ts";
import { BYTE_CHARACTERS, charactersOf } from "./tokenizer-bytes.ts";
import { tokenizerFromVocabAndMerges } from "./tokenizer-load.ts";
import { WORDS } from "./tokenizer.ts";

/** With the ids 0 to 3, as in a vocabulary of words; the languages' tags come next. */
const SPECIAL_TOKENS = ["<pad>", "<start>", "<end>", "<unk>"] as const;

/** Bytes; longer words, such as addresses, are encoded but not learnt from: a merge takes time in proportion to a word's length. */
const MAX_WORD = 200;

/** A merge numbers a pair of tokens below this, so that a pair is one number that is still exact. */
const MAX_VOCABULARY = 2 ** 20;

export interface BytePairTraining {
  /** Most tokens: the special ones, the tags, 256 bytes, and what merges make. */
  readonly vocabulary: number;
  /** How often a pair must occur to be merged. Default 2. */
  readonly minFrequency?: number;
}

/** What `tokenizerFromVocabAndMerges` takes; the token that ends a text is `<end>`. */
export interface TrainedBytePairs {
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: string;
}

/**
 * Byte-pair encoding: from the bytes of GPT-2's words on, the pair of neighbouring tokens that occurs most often becomes one
 * token, again and again. Of pairs that occur equally often the first is taken, in the order of the code units of the left
 * token, then of the right one, in the alphabet of `tokenizer-bytes.ts`. The tag that a text begins with is a special token.
 * @returns Fewer tokens than asked for where no pair occurs often enough.
 * @throws InputError unless the vocabulary has room for the special tokens, the tags and 256 bytes.
 * Source: Sennrich et al. 2016, "Neural machine translation of rare words with subword units".
 */
export function trainBytePairs(texts: Iterable<string>, { vocabulary, minFrequency = 2 }: BytePairTraining): TrainedBytePairs {
  const { words, tags } = countWords(texts);
  const fixed = [...SPECIAL_TOKENS, ...[...tags].sort(), ...[...BYTE_CHARACTERS].sort()];
  if (!Number.isInteger(vocabulary) || vocabulary < fixed.length || vocabulary > MAX_VOCABULARY) {
    throw new InputError(`trainBytePairs: vocabulary must be a whole number from ${fixed.length} (special tokens, tags and bytes) to ${MAX_VOCABULARY}; got ${vocabulary}`);
  }
  const pairs = new PairCounts(fixed, words);
  const merges: string[] = [];
  while (pairs.tokens.length < vocabulary) {
    const best = pairs.mostFrequent();
    if (best === undefined || best.count < minFrequency) break;
    merges.push(`${pairs.tokens[best.left]} ${pairs.tokens[best.right]}`);
    pairs.merge(best);
  }
  return { vocab: Object.fromEntries(pairs.tokens.map((token, id) => [token, id])), merges: merges.map((merge) => `${merge}\n`).join("") };
}

/** The vocabulary of {@link trainBytePairs}, ready to be used. */
export function bytePairCodecOf(texts: Iterable<string>, training: BytePairTraining): BytePairCodec {
  const { vocab, merges } = trainBytePairs(texts, training);
  return new BytePairCodec(tokenizerFromVocabAndMerges(vocab, merges, { name: "trainBytePairs", endOfText: "<end>" }));
}

/** Words in the alphabet of bytes, with how often each occurs; and the languages' tags. */
function countWords(texts: Iterable<string>): { words: ReadonlyMap<string, number>; tags: ReadonlySet<string> } {
  const counts = new Map<string, number>();
  const tags = new Set<string>();
  for (const text of texts) {
    const { tag, rest } = splitTag(text);
    if (tag !== undefined) tags.add(tag);
    for (const [word] of rest.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].map(([word, count]): [string, number] => [charactersOf(word), count]);
  return { words: new Map(words.filter(([word]) => word.length <= MAX_WORD)), tags };
}

interface Pair {
  readonly left: number;
  readonly right: number;
  readonly count: number;
}

interface Word {
  ids: readonly number[];
  readonly count: number;
}

/** How often each pair of neighbours occurs, kept up while pairs are merged: only the words that hold a pair are looked at. */
class PairCounts {
  /** By id. */
  readonly tokens: string[];
  private readonly counts = new Map<number, number>();
  /** Words that hold a pair, or once did. */
  private readonly holders = new Map<number, Set<Word>>();
  /** Every pair, under a count that it once had and that is at least what it has now: `counts` knows that. */
  private readonly queue: MaxHeap<Pair>;

  constructor(tokens: readonly string[], words: ReadonlyMap<string, number>) {
    this.tokens = [...tokens];
    const ids = new Map(tokens.map((token, id) => [token, id]));
    this.queue = new MaxHeap((a, b) => a.count > b.count || (a.count === b.count && this.isBefore(a, b)));
    const raised = new Set<number>();
    for (const [characters, count] of words) this.add({ ids: Array.from(characters, (character) => ids.get(character)!), count }, raised);
    this.enqueue(raised);
  }

  mostFrequent(): Pair | undefined {
    for (;;) {
      const pair = this.queue.pop();
      if (pair === undefined) return undefined;
      const count = this.counts.get(keyOf(pair.left, pair.right)) ?? 0;
      if (count === pair.count) return pair;
      if (count > 0 && count < pair.count) this.queue.push({ ...pair, count });
    }
  }

  /**
   * Makes one token of two, wherever they stand side by side. The token is always a new one: two pairs that spell the same
   * would have gone through the same merges before, and so be the same pair.
   */
  merge({ left, right }: Pair): void {
    const key = keyOf(left, right);
    const product = this.tokens.push(this.tokens[left] + this.tokens[right]) - 1;
    const raised = new Set<number>();
    for (const word of this.holders.get(key) ?? []) {
      for (const pair of pairsOf(word.ids)) this.change(pair, -word.count);
      word.ids = merged(word.ids, left, right, product);
      this.add(word, raised);
    }
    this.holders.delete(key);
    this.enqueue(raised);
  }

  private add(word: Word, raised: Set<number>): void {
    for (const pair of pairsOf(word.ids)) {
      this.change(pair, word.count);
      const holders = this.holders.get(pair) ?? new Set();
      this.holders.set(pair, holders.add(word));
      raised.add(pair);
    }
  }

  private change(pair: number, by: number): void {
    const count = (this.counts.get(pair) ?? 0) + by;
    if (count === 0) this.counts.delete(pair);
    else this.counts.set(pair, count);
  }

  private enqueue(pairs: Iterable<number>): void {
    for (const key of pairs) {
      this.queue.push({ left: Math.floor(key / MAX_VOCABULARY), right: key % MAX_VOCABULARY, count: this.counts.get(key)! });
    }
  }

  private isBefore(a: Pair, b: Pair): boolean {
    const { tokens } = this;
    return a.left === b.left ? tokens[a.right] < tokens[b.right] : tokens[a.left] < tokens[b.left];
  }
}

function keyOf(left: number, right: number): number {
  return left * MAX_VOCABULARY + right;
}

function pairsOf(ids: readonly number[]): number[] {
  return ids.slice(1).map((right, i) => keyOf(ids[i], right));
}

/** From the left: of three equal tokens in a row, the first two become one. */
function merged(ids: readonly number[], left: number, right: number, product: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const found = ids[i] === left && ids[i + 1] === right;
    result.push(found ? product : ids[i]);
    if (found) i++;
  }
  return result;
}
