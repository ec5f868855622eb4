import { SingleBar } from "cli-progress";
import { percent } from "../core/format.ts";
import { plain } from "./terminal.ts";

/** Where nobody watches (a log file, a pipe), a line this often says how far it is. */
const LINE_SECONDS = 10;

/**
 * How far a long task is: a live bar on a terminal; elsewhere a plain line now and then, without control characters.
 * Lines printed through {@link print} stay above the bar.
 */
export class Progress {
  private readonly stream: NodeJS.WriteStream;
  private bar: SingleBar | null = null;
  private shown = { label: "", total: 0, value: 0, detail: "" };
  private lastLine = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.stream = stream;
  }

  /** @param detail What else to say, such as the loss and the time left. */
  update(label: string, value: number, total: number, detail = ""): void {
    if (label !== this.shown.label) this.lastLine = performance.now();
    this.shown = { label, total, value, detail };
    if (this.stream.isTTY) this.draw();
    else if (performance.now() - this.lastLine >= LINE_SECONDS * 1000) {
      this.lastLine = performance.now();
      this.write(`${label}: ${percent(value / total)}${detail === "" ? "" : `, ${detail}`}`);
    }
  }

  /** Prints a line above the bar. */
  print(line: string): void {
    const drawn = this.bar !== null;
    this.stop();
    this.write(line);
    if (drawn) this.draw();
  }

  /** Takes the bar away. */
  stop(): void {
    this.bar?.stop();
    this.bar = null;
  }

  private draw(): void {
    const { label, total, value, detail } = this.shown;
    const payload = { label, detail };
    if (this.bar === null) {
      this.bar = new SingleBar({
        format: "{label} {bar} {percentage} %  {detail}",
        stream: this.stream,
        barsize: 24,
        barCompleteChar: "█",
        barIncompleteChar: "░",
        clearOnComplete: true,
        linewrap: true,
        gracefulExit: false,
      });
      this.bar.start(total, value, payload);
    } else {
      this.bar.setTotal(total);
      this.bar.update(value, payload);
    }
  }

  private write(line: string): void {
    this.stream.write(`${plain(line)}\n`);
  }
}
