/** Where tokenisers come from: GPT-2's own vocabulary, files of Hugging Face's libraries, and checkpoints. */

import { InputError, shown } from "../core/errors.ts";
import { BytePairTokenizer, type Tokenizer } from "./tokenizer.ts";
import { BYTE_CHARACTERS } from "./tokenizer-bytes.ts";
import { pairsFromJson, pairsFromVocabAndMerges, type PairsOptions } from "./tokenizer-pairs.ts";

/**
 * GPT-2's own tokeniser, 50,257 tokens. Its merges (200 KB gzipped) are a module of their own, loaded by this call.
 * Source: `encoder.json` and `vocab.bpe` of openai/gpt-2.
 */
export async function gpt2Tokenizer(): Promise<Tokenizer> {
  const { merges } = await import("./gpt2-merges.ts");
  const products = merges.split("\n").slice(1, -1).map((merge) => merge.replace(" ", ""));
  const tokens = [...[...BYTE_CHARACTERS].sort(), ...products, "<|endoftext|>"];
  return tokenizerFromVocabAndMerges(Object.fromEntries(tokens.map((token, id) => [token, id])), merges);
}

/**
 * From a parsed `tokenizer.json`.
 * @throws InputError unless it is a byte-level BPE as GPT-2's, with a token for each byte and one that ends a text.
 */
export function tokenizerFromJson(json: unknown, options?: PairsOptions): Tokenizer {
  return new BytePairTokenizer(pairsFromJson(json, options));
}

/**
 * From a parsed `vocab.json` and the text of `merges.txt`.
 * @throws InputError unless they are a byte-level BPE as GPT-2's, with a token for each byte and one that ends a text.
 */
export function tokenizerFromVocabAndMerges(vocab: unknown, merges: string, options?: PairsOptions): Tokenizer {
  return new BytePairTokenizer(pairsFromVocabAndMerges(vocab, merges, options));
}

/**
 * From what {@link Tokenizer.toJSON} gave, as a checkpoint carries it.
 * @throws InputError if it is something else, or if the tokeniser that comes out has another fingerprint than the one it names.
 */
export async function tokenizerFromDescription(description: unknown, name = "tokenizer"): Promise<Tokenizer> {
  const { kind, fingerprint, endOfText, tokenizer }: Readonly<Record<string, unknown>> = typeof description === "object" && description !== null ? { ...description } : {};
  if (kind !== "gpt2" && (kind !== "tokenizer.json" || typeof endOfText !== "string")) {
    throw new InputError(`${name}: the description must be of kind "gpt2", or "tokenizer.json" with endOfText; got ${shown(description ?? null)}`, "it must be what Tokenizer.toJSON gives");
  }
  const made = kind === "gpt2" ? await gpt2Tokenizer() : tokenizerFromJson(tokenizer, { name, endOfText: String(endOfText) });
  if (made.fingerprint !== fingerprint) {
    throw new InputError(`${name}: the fingerprint must be ${shown(fingerprint ?? null)}, as in the checkpoint; got ${made.fingerprint}`, "the weights were trained with another vocabulary");
  }
  return made;
}
