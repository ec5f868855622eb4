import { InputError, shown } from "../core/errors.ts";
import { isTag, splitTag } from "./language-tag.ts";
import type { TextCodec } from "./text-codec.ts";
import { drain, leadingTag, unframed, type TextFrame } from "./text-frame.ts";
import type { Tokenizer, TokenizerJson, TokenStream } from "./tokenizer.ts";

/** Ids that stand around a model's texts, where they are not the tokeniser's own. */
export type FrameIds = Partial<Pick<TextFrame, "pad" | "start" | "end">>;

/**
 * A byte-pair tokeniser as a captioner's vocabulary. Its special tokens `<pad>`, `<start>` and `<end>` stand around texts;
 * one that has none of them, such as GPT-2's, uses the token that ends a text for all three.
 */
export class BytePairCodec implements TextCodec {
  readonly pad: number;
  readonly start: number;
  readonly end: number;
  readonly tags: TextFrame["tags"];
  private readonly tokenizer: Tokenizer;
  private readonly frame: FrameIds;

  /** @throws InputError if the frame has an id that no token has. */
  constructor(tokenizer: Tokenizer, frame: FrameIds = {}) {
    const { special, endOfText, vocabularySize } = tokenizer;
    const wrong = Object.entries(frame).find(([, id]) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (wrong !== undefined) throw new InputError(`BytePairCodec: ${wrong[0]} must be the id of a token, 0 to ${vocabularySize - 1}; got ${shown(wrong[1])}`, "the tokeniser belongs to another model");
    this.tokenizer = tokenizer;
    this.frame = frame;
    this.pad = frame.pad ?? special.get("<pad>") ?? endOfText;
    this.start = frame.start ?? special.get("<start>") ?? endOfText;
    this.end = frame.end ?? endOfText;
    this.tags = new Map([...special].filter(([name]) => isTag(name)).map(([name, id]) => [id, name]));
  }

  get size(): number {
    return this.tokenizer.vocabularySize;
  }

  get languages(): readonly string[] {
    return [...this.tags.values()];
  }

  encode(text: string): number[] {
    const { tag, rest } = splitTag(text);
    const id = tag === undefined ? undefined : this.tokenizer.special.get(tag);
    return id === undefined ? this.tokenizer.encode(text) : [id, ...this.tokenizer.encode(rest)];
  }

  decode(ids: Iterable<number>): string {
    return drain(this.stream(), ids);
  }

  stream(): TokenStream {
    return unframed(this, this.tokenizer.stream({ skipSpecial: true }));
  }

  languageOf(ids: Iterable<number>): string | undefined {
    return leadingTag(this, ids);
  }

  toJSON(): TokenizerJson & { readonly frame?: FrameIds } {
    return { ...this.tokenizer.toJSON(), ...(Object.keys(this.frame).length > 0 && { frame: this.frame }) };
  }
}
