import { isTag, splitTag } from "./language-tag.ts";
import type { TextCodec } from "./text-codec.ts";
import { drain, leadingTag, unframed, type TextFrame } from "./text-frame.ts";
import type { Tokenizer, TokenizerJson, TokenStream } from "./tokenizer.ts";

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

  constructor(tokenizer: Tokenizer) {
    const { special, endOfText } = tokenizer;
    this.tokenizer = tokenizer;
    this.pad = special.get("<pad>") ?? endOfText;
    this.start = special.get("<start>") ?? endOfText;
    this.end = endOfText;
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

  toJSON(): TokenizerJson {
    return this.tokenizer.toJSON();
  }
}
