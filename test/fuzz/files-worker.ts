/** Tries damaged files in a thread of its own, so that one that hangs or fills the memory can be noticed from outside. */

import { parentPort, workerData } from "node:worker_threads";
import { FILE_KINDS, FILE_OUTCOMES, FileFuzzer, type FileKind } from "./files.ts";

/** What the thread is told. */
export interface FileWork {
  readonly seed: number;
  readonly kinds: readonly FileKind[];
  readonly begin: number;
  readonly end: number;
  /** The index at hand, then the numbers of inputs by kind and outcome ({@link countAt}). */
  readonly progress: Int32Array;
}

/** What the thread says of an input that went wrong. */
export interface FileProblem {
  readonly index: number;
  readonly problem: string;
}

/** Place of a count in `progress`. */
export function countAt(kind: FileKind, outcome: (typeof FILE_OUTCOMES)[number]): number {
  return 1 + FILE_KINDS.indexOf(kind) * FILE_OUTCOMES.length + FILE_OUTCOMES.indexOf(outcome);
}

export const PROGRESS_LENGTH = 1 + FILE_KINDS.length * FILE_OUTCOMES.length;

async function work({ seed, kinds, begin, end, progress }: FileWork): Promise<void> {
  const fuzzer = new FileFuzzer(seed, kinds);
  for (let index = begin; index < end; index++) {
    Atomics.store(progress, 0, index);
    const { kind, outcome, problem } = await fuzzer.tryInput(index);
    Atomics.add(progress, countAt(kind, outcome), 1);
    if (problem !== undefined) parentPort?.postMessage({ index, problem } satisfies FileProblem);
  }
  Atomics.store(progress, 0, end);
}

if (parentPort !== null) await work(workerData as FileWork);
