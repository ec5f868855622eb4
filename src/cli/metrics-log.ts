import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";
import { historyOf, parseMetrics, showMetrics, type MetricsHistory, type MetricsLine } from "../caption/run-log.ts";
import { fileError, writeFileAtomically } from "../checkpoint/files.ts";

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
      await writeFileAtomically(path, [Buffer.from(showMetrics(kept))]);
    }
    return new MetricsLog(path);
  }

  /** @throws InputError if the disk is full. */
  write(line: MetricsLine): void {
    try {
      writeSync(this.file, showMetrics([line]));
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
  return historyOf(existsSync(path) ? linesOf(path) : []);
}

function linesOf(path: string): readonly MetricsLine[] {
  return parseMetrics(readFileSync(path, "utf8"));
}
