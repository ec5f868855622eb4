import type { Captioner } from "../../caption/captioner.ts";
import type { OpenedData } from "../../caption/data-choice.ts";
import { MemoryFeatures } from "../../caption/features.ts";
import type { ResumableRun } from "../../caption/resume.ts";
import { historyOf, stepLine, validationLine, type MetricsLine, type StepLine } from "../../caption/run-log.ts";
import { SAMPLES, trainCaptioner, type StepProgress, type TrainingHooks } from "../../caption/training.ts";
import { writeSafetensors } from "../../checkpoint/safetensors.ts";
import { summaryFrom, type RunRecord, type RunStore } from "./run-store.ts";
import type { RunEnd, RunEvent, SamplePicture } from "./service.ts";

/** Milliseconds between two messages about the same: what a page can draw. */
export const MESSAGE_EVERY = 250;

/** Milliseconds between two checkpoints: what a tab that is closed costs at most, but for a step that takes longer. */
const SAVE_EVERY = 30_000;

/** The longer side of sample pictures, in pixels. */
const SAMPLE_SIDE = 192;

export interface RunAtWork {
  readonly store: RunStore;
  readonly record: RunRecord;
  readonly captioner: Captioner;
  readonly data: OpenedData;
  readonly resumed: ResumableRun | undefined;
  readonly onEvent: (event: RunEvent) => void;
  readonly signal: AbortSignal;
}

/** Trains a captioner, keeps checkpoints and metrics in the store, and tells the page how it goes. */
export async function trainRun({ store, record, captioner, data, resumed, onEvent, signal }: RunAtWork): Promise<RunEnd> {
  const { name, recipe, choice } = record;
  const before = resumed?.state.step ?? 0;
  const lines: MetricsLine[] = (await store.metrics(name)).filter(({ step }) => step <= before); // later ones are made again
  const secondsBefore = historyOf(lines).steps.at(-1)?.seconds ?? 0;
  const begun = performance.now();
  let [lastMessage, lastSave] = [0, begun];
  let now: RunRecord = { ...record, step: before };
  let waiting: StepLine[] = [];
  let progress: StepProgress | null = null;
  const tellSteps = (): void => {
    if (waiting.length > 0) onEvent({ kind: "stepped", steps: waiting, now: progress! });
    waiting = [];
    lastMessage = performance.now();
  };
  const samples = await samplesOf(data);

  const hooks: TrainingHooks = {
    signal,
    onLook: (done, total) => onEvent({ kind: "preparing", what: "looking at pictures", done, total }),
    onStart(steps) {
      now = { ...now, steps };
      const { validations, steps: told } = historyOf(lines);
      const run = summaryFrom(now, { atWork: true, checkpoints: [], bytes: 0 });
      onEvent({ kind: "begun", run, parameters: captioner.model.parameterCount(), vocabulary: captioner.codec.size, data: data.summary, notes: [...data.warnings, ...(data.remark === null ? [] : [data.remark])], steps: told, validations, samples });
    },
    onCompile: (done, total) => onEvent({ kind: "preparing", what: "compiling", done, total }),
    onStep(step) {
      const line = stepLine(step, secondsBefore + (performance.now() - begun) / 1000);
      lines.push(line);
      waiting.push(line);
      progress = step;
      if (performance.now() - lastMessage >= MESSAGE_EVERY) tellSteps();
    },
    onValidation(report) {
      tellSteps();
      const validation = validationLine(report);
      lines.push(validation);
      if (report.best) now = { ...now, bestLoss: report.loss };
      onEvent({ kind: "validated", validation, samples: report.samples });
    },
    async save({ tensors, metadata }, kind) {
      await store.writeCheckpoint(name, kind, writeSafetensors(tensors, { ...metadata, data: JSON.stringify(choice) }));
      if (kind === "best") return;
      const { step, bestLoss } = JSON.parse(metadata.trainer) as { step: number; bestLoss: number | null };
      now = { ...now, step, bestLoss };
      await store.writeMetrics(name, lines);
      await store.write(name, now);
      lastSave = performance.now();
      onEvent({ kind: "saved", step });
    },
    saveDue: () => performance.now() - lastSave >= SAVE_EVERY,
  };

  try {
    const result = await trainCaptioner(captioner, data.source, recipe, async () => new MemoryFeatures(), hooks, resumed && { tensors: resumed.file.tensors, state: resumed.state });
    tellSteps();
    await store.writeMetrics(name, lines); // with the last validation
    await store.write(name, { ...now, step: result.step, steps: result.steps, complete: !result.stopped });
    return { state: result.stopped ? "paused" : result.early ? "early" : "complete", step: result.step, steps: result.steps };
  } finally {
    captioner.dispose();
  }
}

/** The pictures that validations are shown on. */
async function samplesOf({ source: { validation } }: OpenedData): Promise<SamplePicture[]> {
  const count = Math.min(SAMPLES, validation.length);
  return Promise.all(Array.from({ length: count }, async (_, i) => ({ name: validation.name(i), picture: await validation.shown(i, SAMPLE_SIDE), reference: validation.captions(i)[0] })));
}
