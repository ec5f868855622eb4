/** `npm run fuzz -- --files`: damaged files by the thousand, in a thread that is watched. */

import { Worker } from "node:worker_threads";
import { writeFileAtomically } from "../../src/checkpoint/files.ts";
import { FILE_KINDS, FILE_OUTCOMES, FileFuzzer, type FileKind } from "./files.ts";
import { countAt, PROGRESS_LENGTH, type FileProblem, type FileWork } from "./files-worker.ts";

const HEAP_MEGABYTES = 512;
const STUCK_MS = 20_000; // on one input: it will never end
const WATCH_MS = 500;
const REPORT_MS = 10_000;

export interface FileFuzzOptions {
  readonly count: number;
  readonly seed: number;
  readonly kind?: FileKind;
  /** Only this input. */
  readonly only?: number;
  /** Where to write the input of `only`. */
  readonly save?: string;
}

/** Runs the thread from an index until its end, or until an input stops it; resolves to that input's index and the reason. */
async function runThread(work: FileWork, onProblem: (problem: FileProblem) => void, onProgress: () => void): Promise<FileProblem | undefined> {
  const worker = new Worker(new URL("./fuzz-files.mjs", import.meta.url), { workerData: work, resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES } });
  return new Promise((resolve) => {
    let at = work.begin;
    let since = performance.now();
    let reason = "ended the thread";
    const watch = setInterval(() => {
      onProgress();
      const now = Atomics.load(work.progress, 0);
      if (now !== at) [at, since] = [now, performance.now()];
      else if (performance.now() - since > STUCK_MS) {
        reason = `not done after ${STUCK_MS / 1e3} s`;
        void worker.terminate();
      }
    }, WATCH_MS);
    worker.on("message", onProblem);
    worker.on("error", (error) => void (reason = `ended the thread: ${String(error)}`));
    worker.on("exit", () => {
      clearInterval(watch);
      const index = Atomics.load(work.progress, 0);
      resolve(index >= work.end ? undefined : { index, problem: reason });
    });
  });
}

/** Tries damaged files and prints what came of them; resolves to the number that went wrong. */
export async function fuzzFiles({ count, seed, kind, only, save }: FileFuzzOptions): Promise<number> {
  const kinds = kind === undefined ? FILE_KINDS : [kind];
  const [begin, end] = only === undefined ? [0, count] : [only, only + 1];
  const fuzzer = new FileFuzzer(seed, kinds);
  if (save !== undefined) await writeFileAtomically(save, [fuzzer.bytesOf(begin)]);
  const progress = new Int32Array(new SharedArrayBuffer(4 * PROGRESS_LENGTH));
  const start = performance.now();
  let reported = start;
  const describe = ({ index, problem }: FileProblem): void => {
    const flags = `--files ${count} --seed ${seed} --only ${index}${kind === undefined ? "" : ` --kind ${kind}`}`;
    console.log(`WRONG ${fuzzer.kindOf(index)}: ${problem}\n  again: npm run fuzz -- ${flags} --save input.bin`);
  };
  const report = (): void => {
    if (performance.now() - reported < REPORT_MS) return;
    reported = performance.now();
    const done = Atomics.load(progress, 0) - begin;
    console.log(`${done} of ${end - begin} files, ${((1e3 * done) / (reported - start)).toFixed(0)} files/s`);
  };
  for (let next = begin; next < end; ) {
    const stopped = await runThread({ seed, kinds, begin: next, end, progress }, describe, report);
    if (stopped === undefined) break;
    describe(stopped);
    Atomics.add(progress, countAt(fuzzer.kindOf(stopped.index), "wrong"), 1);
    next = stopped.index + 1;
  }
  for (const each of kinds) console.log(`${each}: ${FILE_OUTCOMES.map((outcome) => `${progress[countAt(each, outcome)]} ${outcome}`).join(", ")}`);
  const wrong = kinds.reduce((sum, each) => sum + progress[countAt(each, "wrong")], 0);
  console.log(`${end - begin} files, ${wrong} wrong, in ${((performance.now() - start) / 1e3).toFixed(0)} s, seed ${seed}`);
  return wrong;
}
