import { InputError, printable } from "../core/errors.ts";
import { type Finding, Findings } from "./findings.ts";

export type Split = "train" | "val" | "test";

/** A picture with its reference captions. */
export interface CaptionExample {
  /** As the caption file names it, with forward slashes: a file name or a relative path. */
  readonly image: string;
  readonly captions: readonly string[];
  readonly split?: Split;
}

/** What a caption file holds, and what about it was mended or left out. */
export interface ParsedCaptions {
  readonly examples: readonly CaptionExample[];
  readonly findings: readonly Finding[];
}

/** A way of writing captions down, and how files of it are told. */
export interface CaptionFormat {
  /** What people call it. */
  readonly name: string;
  /** The names that its files usually have. */
  readonly fileName: RegExp;
  /** Whether a file's first and last characters, joined, look like it. */
  recognises(sample: string): boolean;
  /**
   * @param source The file's name, for messages.
   * @throws InputError if the text is not of this format.
   */
  parse(text: string, source: string): ParsedCaptions;
}

/** A file name of a picture, or a path of one. */
export const PICTURE_NAME = /\.(?:jpe?g|png)$/i;

/** Collects captions by image, in the order of first appearance. */
export class CaptionCollector {
  readonly findings: Findings;
  private readonly noun: string;
  private readonly captionsOf = new Map<string, Set<string>>();
  private readonly splitOf = new Map<string, Split>();

  /** @param noun What holds one caption, for messages: a line, or a caption. */
  constructor(source: string, noun: "line" | "caption") {
    this.findings = new Findings(source);
    this.noun = noun;
  }

  /** @param where Says where the caption stands: "line 3". */
  add(image: string, caption: string, where: string, split?: Split): void {
    const name = image.trim().replaceAll("\\", "/").replace(/^(\.\/)+/, "");
    const trimmed = caption.trim();
    const text = trimmed.replace(/\s+/gu, " ");
    if (name === "") return this.findings.dropped(this.noun, "without the name of an image", where);
    if (text === "") return this.findings.dropped(this.noun, "without a caption", where);
    const captions = this.captionsOf.get(name) ?? new Set();
    if (captions.has(text)) return this.findings.dropped(this.noun, "repeating an image's caption", where);
    this.captionsOf.set(name, captions.add(text));
    if (split !== undefined) this.splitOf.set(name, split);
    if (image.includes("\\")) this.findings.repaired(this.noun, "with a backslash in the image's name, taken as a slash", where);
    if (/[\r\n]/.test(trimmed)) this.findings.repaired(this.noun, "with a line break, taken as a space", where);
    if (text.includes("\uFFFD")) this.findings.repaired(this.noun, "with bytes that are not UTF-8, read as \uFFFD", where);
  }

  finish(): ParsedCaptions {
    const examples = Array.from(this.captionsOf, ([image, captions]): CaptionExample => {
      const split = this.splitOf.get(image);
      return { image, captions: [...captions], ...(split === undefined ? {} : { split }) };
    });
    return { examples, findings: this.findings.list() };
  }
}

/** The lines of a text that aren't blank, with their numbers from 1; byte-order mark and line ends taken off. */
export function* linesOf(text: string): Generator<readonly [line: string, where: string]> {
  for (const [i, line] of text.split(/\r\n|\n|\r/).entries()) {
    const bare = i === 0 ? line.replace(/^\uFEFF/, "") : line;
    if (bare.trim() !== "") yield [bare, `line ${i + 1}`];
  }
}

/** The first line of a sample that isn't blank. */
export function firstLine(sample: string): string {
  return linesOf(sample).next().value?.[0] ?? "";
}

/** @throws InputError unless the text of a file is JSON. */
export function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ""));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`${source}: must be JSON; ${printable(reason)}`, "is the download complete?", { cause: error });
  }
}
