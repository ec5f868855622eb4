/** The ids around a text: what begins it, ends it, fills it up and names its language. */

import type { TokenStream } from "./tokenizer.ts";

/** Ids that stand around a text and say nothing themselves. GPT-2 has one for all three. */
export interface TextFrame {
  readonly pad: number;
  readonly start: number;
  readonly end: number;
  /** Ids of language tags, each with its tag. */
  readonly tags: ReadonlyMap<number, string>;
}

/** Gives the ids of a text alone to `words`: not start and padding, no tag before the first word, nothing after the first end. */
export function unframed(frame: TextFrame, words: TokenStream): TokenStream {
  let place: "first" | "before" | "within" | "after" = "first";
  return {
    push(id) {
      const first = place === "first";
      if (first) place = "before";
      if (id === frame.end && !(first && id === frame.start)) place = "after";
      if (place === "after" || id === frame.start || id === frame.pad) return "";
      const isTag = place === "before" && frame.tags.has(id);
      place = "within";
      return isTag ? "" : words.push(id);
    },
    end() {
      place = "first";
      return words.end();
    },
  };
}

/** The text that all ids make. */
export function drain(stream: TokenStream, ids: Iterable<number>): string {
  let text = "";
  for (const id of ids) text += stream.push(id);
  return text + stream.end();
}

/** The tag that stands before the first word, if one does. */
export function leadingTag({ pad, start, tags }: TextFrame, ids: Iterable<number>): string | undefined {
  for (const id of ids) {
    if (id !== start && id !== pad) return tags.get(id);
  }
  return undefined;
}
