/** How texts about pictures are printed: lines for people, JSON, or CSV. */

import type { Caption } from "../caption/teller.ts";
import { csvRow } from "../core/format.ts";
import { plain } from "./terminal.ts";

export const TELLING_FORMATS = ["lines", "json", "csv"] as const;
export type TellingFormat = (typeof TELLING_FORMATS)[number];

/** Where output goes; process.stdout is one. */
export interface Output {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

/** Who says the texts. */
export interface Speaker {
  /** File of the weights. */
  readonly model: string;
  readonly system: string;
}

/** Prints texts as they come. */
export class TellingPrinter {
  private readonly format: TellingFormat;
  private readonly speaker: Speaker;
  private readonly output: Output;
  private streamed: string | null = null;

  constructor(format: TellingFormat, speaker: Speaker, output: Output) {
    this.format = format;
    this.speaker = speaker;
    this.output = output;
    if (format === "csv") this.row(["file", "caption", "score"]);
  }

  /** Shows a text's pieces as they come, where somebody watches: the picture's name at once. */
  stream(file: string): ((piece: string) => void) | undefined {
    if (this.format !== "lines" || !this.output.isTTY) return undefined;
    this.streamed = "";
    this.output.write(`${plain(file)}: `);
    return (piece) => {
      const text = oneLine(piece);
      const shown = this.streamed === "" ? text.trimStart() : text;
      this.streamed += shown;
      this.output.write(plain(shown));
    };
  }

  /** Prints what is said of a picture, the best first; what was streamed is only ended. */
  print(file: string, captions: readonly Caption[]): void {
    const texts = captions.map(({ text, score, ended }) => ({ caption: text.trim(), score, ended }));
    const [best] = texts;
    if (this.format === "json") this.line(JSON.stringify({ file, ...best, ...(texts.length > 1 && { candidates: texts }), ...this.speaker }));
    else if (this.format === "csv") for (const { caption, score } of texts) this.row([file, caption, score]);
    else if (this.streamed !== null) this.output.write(this.streamed === "" ? `${plain(oneLine(best.caption))}\n` : "\n");
    else if (texts.length === 1) this.line(`${file}: ${oneLine(best.caption)}`);
    else for (const text of [`${file}:`, ...texts.map(({ caption, score }) => `  ${score.toFixed(3).padStart(9)}  ${oneLine(caption)}`)]) this.line(text);
    this.streamed = null;
  }

  private line(text: string): void {
    this.output.write(`${plain(text)}\n`);
  }

  /** As RFC 4180 has it, which ends lines with CR LF. */
  private row(cells: readonly (string | number)[]): void {
    this.output.write(`${csvRow(cells.map((cell) => (typeof cell === "string" ? plain(cell) : cell)))}\r\n`);
  }
}

/** A text without line breaks: stories have some. */
function oneLine(text: string): string {
  return text.replace(/\s+/gu, " ");
}
