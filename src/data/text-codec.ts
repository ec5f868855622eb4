/** Text to ids and back, whatever the vocabulary: words, byte pairs, or GPT-2's tokens. */

import { InputError, shown } from "../core/errors.ts";
import type { FrameIds } from "./bpe-codec.ts";
import type { TokenStream } from "./tokenizer.ts";
import { Vocabulary } from "./vocabulary.ts";

/** What a captioner needs of its vocabulary. */
export interface TextCodec {
  /** Ids are 0 to one below it. */
  readonly size: number;
  /** Fills up what is shorter than a batch's longest text. GPT-2 has one id for padding, start and end. */
  readonly pad: number;
  readonly start: number;
  readonly end: number;
  /** The language tags that have an id, such as `<de>`, in the order of their ids. */
  readonly languages: readonly string[];
  /** The ids of a text, its language tag first where it begins with one that is known; without start and end. */
  encode(text: string): number[];
  /**
   * The text of ids up to the first end, without start, padding and the language tag.
   * @throws InputError for an id that is not in the vocabulary.
   */
  decode(ids: Iterable<number>): string;
  /** What {@link decode} gives, in parts: `push` gives the text that one more id adds. */
  stream(): TokenStream;
  /** The tag of the language that the ids begin with, if they do. */
  languageOf(ids: Iterable<number>): string | undefined;
  /** What a checkpoint keeps, see {@link codecFromJson}. Named as JSON.stringify looks for it. */
  toJSON(): unknown;
}

/**
 * From what {@link TextCodec.toJSON} gave: of kind "words" (or without a kind, as older checkpoints have it),
 * "tokenizer.json", or "gpt2", whose tokens are not in the JSON but part of this library. What byte pairs need is loaded when they are met.
 * @param file For error messages.
 * @throws InputError if it is something else, or tokens don't have the fingerprint that the JSON names.
 */
export async function codecFromJson(value: unknown, file = "vocabulary"): Promise<TextCodec> {
  const kind = typeof value === "object" && value !== null && "kind" in value ? value.kind : "words";
  if (kind === "words") return Vocabulary.fromJson(value, file);
  if (kind === "gpt2" || kind === "tokenizer.json") {
    const { frame } = value as { readonly frame?: unknown };
    const isFrame = frame === undefined || (typeof frame === "object" && frame !== null);
    if (!isFrame) throw new InputError(`${file}: frame of the vocabulary must be {"pad", "start", "end"} with ids; got ${shown(frame)}`, "the checkpoint is damaged; use another one");
    const [{ BytePairCodec }, { tokenizerFromDescription }] = await Promise.all([import("./bpe-codec.ts"), import("./tokenizer-load.ts")]);
    return new BytePairCodec(await tokenizerFromDescription(value, file), frame as FrameIds | undefined);
  }
  throw new InputError(`${file}: the vocabulary must be of kind "words", "tokenizer.json" or "gpt2"; got ${shown(kind)}`, "it may be of a newer version");
}
