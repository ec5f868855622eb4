import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { fileError, writeFileAtomically } from "../checkpoint/files.ts";

/** A line of `metrics.jsonl` for a training step. */
export interface StepLine {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Mean CIDEr-D of the texts that were drawn, where rewards are learned from; the loss is then that of the draws. */
  readonly reward?: number;
  readonly lr: number;
  readonly gradientNorm: number;
  readonly picturesPerSecond: number;
  /** Of training, validation included, up to this step; a resumed run counts on. */
  readonly seconds: number;
}

/** A line for a validation. */
export interface ValidationLine {
  readonly step: number;
  readonly epoch: number;
  readonly validationLoss: number;
  /** CIDEr-D of the likeliest texts, where rewards are learned from. */
  readonly validationReward?: number;
  readonly best: boolean;
}

export interface MetricsHistory {
  readonly steps: readonly StepLine[];
  readonly validations: readonly ValidationLine[];
}

/** Appends to `metrics.jsonl`, one JSON object a line; each line is in the file when {@link write} returns. */
export class MetricsLog {
  private readonly path: string;
  private readonly file: number;

  private constructor(path: string) {
    this.path = path;
    try {
      this.file = openSync(path, "a");
    } catch (cause) {
      throw fileError("write", path, cause);
    }
  }

  /**
   * @param step The checkpoint's step; later lines, which a resumed run writes again, are dropped.
   * @throws InputError if the file cannot be written.
   */
  static async open(path: string, step: number): Promise<MetricsLog> {
    if (existsSync(path)) {
      const kept = linesOf(path).filter((line) => line.step <= step);
      await writeFileAtomically(path, [Buffer.from(kept.map((line) => `${JSON.stringify(line)}\n`).join(""))]);
    }
    return new MetricsLog(path);
  }

  /** @throws InputError if the disk is full. */
  write(line: StepLine | ValidationLine): void {
    try {
      writeSync(this.file, `${JSON.stringify(line)}\n`);
    } catch (cause) {
      throw fileError("write", this.path, cause);
    }
  }

  close(): void {
    closeSync(this.file);
  }
}

/** What a run has written so far; nothing where there is no such file. */
export function readMetrics(path: string): MetricsHistory {
  const lines = existsSync(path) ? linesOf(path) : [];
  return { steps: lines.filter((line) => "loss" in line), validations: lines.filter((line) => "validationLoss" in line) };
}

function linesOf(path: string): (StepLine | ValidationLine)[] {
  const lines: (StepLine | ValidationLine)[] = [];
  for (const text of readFileSync(path, "utf8").split("\n")) {
    try {
      if (text !== "") lines.push(JSON.parse(text) as StepLine | ValidationLine);
    } catch {
      // a line that a killed run did not finish
    }
  }
  return lines;
}
