/** The vocabulary of a byte-pair encoding, out of the files that Hugging Face's libraries write. */

import { InputError, shown } from "../core/errors.ts";
import { BYTE_CHARACTERS } from "./tokenizer-bytes.ts";

/** What makes one byte-pair encoding differ from another. */
export interface BytePairs {
  /** By id, in the alphabet of `tokenizer-bytes.ts`; special tokens by their names. */
  readonly tokens: readonly string[];
  /** Which two tokens become one, the first merge first. */
  readonly merges: readonly (readonly [string, string])[];
  /** Ids, in order, of the tokens that are neither a byte nor made by a merge: text gives them only where they are asked for by name. */
  readonly special: ReadonlySet<number>;
  /** Whether text that begins without a space gets one. */
  readonly prefixSpace: boolean;
  readonly endOfText: number;
}

/** The part of a `tokenizer.json` that matters here. */
export interface HuggingFaceTokenizer {
  readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
  readonly normalizer: null;
  readonly pre_tokenizer: { readonly type: "ByteLevel"; readonly add_prefix_space: boolean; readonly trim_offsets: boolean; readonly use_regex: boolean };
  readonly decoder: { readonly type: "ByteLevel" };
  readonly model: { readonly type: "BPE"; readonly vocab: Readonly<Record<string, number>>; readonly merges: BytePairs["merges"] };
}

export interface PairsOptions {
  /** For error messages. Default: the usual name of the file. */
  readonly name?: string;
  /** Name of the token that ends a text. Default `<|endoftext|>`. */
  readonly endOfText?: string;
}

type Entries = Readonly<Record<string, unknown>>;

const HINT = "only byte-level BPE as GPT-2's is read";

/**
 * Out of a parsed `tokenizer.json`. Cut-off lengths, padding and tokens put around a text are left to those who call.
 * @throws InputError unless it is a byte-level BPE as GPT-2's, with a token for each byte.
 */
export function pairsFromJson(json: unknown, { name = "tokenizer.json", endOfText }: PairsOptions = {}): BytePairs {
  const refuse = (rule: string, got: unknown): never => {
    throw new InputError(`${name}: ${rule}; got ${got === undefined ? "none" : shown(got)}`, HINT);
  };
  const must = (held: boolean, rule: string, got: unknown): void => {
    if (!held) refuse(rule, got);
  };
  const parts = isEntries(json) ? json : refuse("the file must be a JSON object", json);
  const model = isEntries(parts.model) ? parts.model : refuse("model must be an object", parts.model);
  must(model.type === "BPE" || (model.type === undefined && Array.isArray(model.merges)), "model.type must be BPE", model.type);
  for (const key of ["byte_fallback", "ignore_merges", "continuing_subword_prefix", "end_of_word_suffix", "dropout"]) {
    must(!model[key], `model.${key} must be off`, model[key]);
  }
  must((parts.normalizer ?? null) === null, "normalizer must be null, or text would not come back", parts.normalizer);
  const words = isEntries(parts.pre_tokenizer) ? parts.pre_tokenizer : refuse("pre_tokenizer must be ByteLevel", parts.pre_tokenizer);
  must(words.type === "ByteLevel" && words.use_regex !== false, "pre_tokenizer must be ByteLevel with GPT-2's words", words);

  const vocab = readVocab(model.vocab, `${name}, model.vocab`);
  const merges = Array.isArray(model.merges) ? model.merges : refuse("model.merges must be a list", model.merges);
  const mergesName = (index: number): string => `${name}, model.merges[${index}]`;
  const added = parts.added_tokens ?? [];
  const ids = new Map(vocab);
  for (const token of Array.isArray(added) ? added : refuse("added_tokens must be a list", added)) {
    const { content, id } = isEntries(token) ? token : refuse("each of added_tokens must be an object", token);
    if (typeof content !== "string" || content === "" || typeof id !== "number") return refuse("each of added_tokens must have content and an id", token);
    must((ids.get(content) ?? id) === id, `${shown(content)} of added_tokens must have the id that it has in model.vocab, ${ids.get(content)}`, id);
    ids.set(content, id);
  }
  const pairs = Array.from(merges, (merge, index) => readMerge(merge, mergesName(index)));
  return assemble(ids, pairs, { name, mergesName, prefixSpace: words.add_prefix_space === true, endOfText });
}

/**
 * Out of a parsed `vocab.json` and the text of `merges.txt`.
 * @throws InputError unless there is a token for each byte and for each merge.
 */
export function pairsFromVocabAndMerges(vocab: unknown, merges: string, { name = "vocab.json", endOfText }: PairsOptions = {}): BytePairs {
  const lines = merges.replace(/^\uFEFF/u, "").split(/\r?\n/u);
  const first = lines[0].startsWith("#version") ? 1 : 0;
  if (lines.at(-1) === "") lines.pop();
  const mergesName = (index: number): string => `merges.txt, line ${first + index + 1}`;
  const pairs = lines.slice(first).map((line, index) => readMerge(line, mergesName(index)));
  return assemble(readVocab(vocab, name), pairs, { name, mergesName, prefixSpace: false, endOfText });
}

function isEntries(value: unknown): value is Entries {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readVocab(vocab: unknown, name: string): ReadonlyMap<string, number> {
  if (!isEntries(vocab)) {
    const got = Array.isArray(vocab) ? "a list, as Unigram has it" : shown(vocab ?? null);
    throw new InputError(`${name}: the vocabulary must be an object of tokens and their ids; got ${got}`, HINT);
  }
  for (const [token, id] of Object.entries(vocab)) {
    if (typeof id !== "number") throw new InputError(`${name}: ids must be numbers; got ${shown(id ?? null)} for ${shown(token)}`);
    if (token === "") throw new InputError(`${name}: tokens must not be empty; got an empty one with the id ${id}`);
  }
  return new Map(Object.entries(vocab) as [string, number][]);
}

/** A merge is two tokens, as a pair or with a space between them. */
function readMerge(merge: unknown, name: string): readonly [string, string] {
  const parts: readonly unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  const [left, right] = parts;
  if (parts.length !== 2 || typeof left !== "string" || typeof right !== "string" || left === "" || right === "") {
    throw new InputError(`${name}: a merge must be two tokens with one space between them; got ${shown(merge ?? null)}`, "the file may be cut off, or another file");
  }
  return [left, right];
}

interface Assembly {
  readonly name: string;
  readonly mergesName: (index: number) => string;
  readonly prefixSpace: boolean;
  readonly endOfText: string | undefined;
}

function assemble(
  ids: ReadonlyMap<string, number>,
  merges: BytePairs["merges"],
  { name, mergesName, prefixSpace, endOfText = "<|endoftext|>" }: Assembly,
): BytePairs {
  const tokens = byId(ids, name);
  const lacking = BYTE_CHARACTERS.filter((character) => !ids.has(character));
  if (lacking.length > 0) {
    throw new InputError(`${name}: each of the 256 bytes must have a token; got none for ${lacking.length} of them, such as ${shown(lacking[0])}`, HINT);
  }
  const ordinary = new Set(BYTE_CHARACTERS);
  for (const [left, right] of merges) ordinary.add(left + right);
  const seen = new Set<string>();
  for (const [index, [left, right]] of merges.entries()) {
    const wrong = [left, right].find((part) => !ordinary.has(part)) ?? (ids.has(left + right) ? undefined : left + right);
    if (wrong !== undefined) {
      throw new InputError(`${mergesName(index)}: tokens of a merge must be in the vocabulary, their sum too; got ${shown(wrong)}`, "the files belong to different tokenisers");
    }
    const merge = `${left} ${right}`;
    if (seen.has(merge)) throw new InputError(`${mergesName(index)}: each merge must be there once; got ${shown(merge)} again`);
    seen.add(merge);
  }
  const end = ids.get(endOfText);
  if (end === undefined) {
    throw new InputError(`${name}: the token that ends a text, ${shown(endOfText)}, must be in the vocabulary; got none`, "name it with the option endOfText");
  }
  const special = [...tokens.keys()].filter((id) => !ordinary.has(tokens[id]));
  return { tokens, merges, special: new Set(special), prefixSpace, endOfText: end };
}

/** Tokens in the order of their ids, of which there must be as many as tokens: nothing is allocated for an id beyond. */
function byId(ids: ReadonlyMap<string, number>, name: string): readonly string[] {
  const tokens: (string | undefined)[] = Array.from({ length: ids.size }, () => undefined);
  for (const [token, id] of ids) {
    if (!Number.isInteger(id) || id < 0 || id >= ids.size || tokens[id] !== undefined) {
      const got = tokens[id] === undefined ? "" : `, which ${shown(tokens[id])} has`;
      throw new InputError(`${name}: ids of ${ids.size} tokens must be 0 to ${ids.size - 1}, each once; got ${id}${got}, for ${shown(token)}`);
    }
    tokens[id] = token;
  }
  return tokens as string[];
}
