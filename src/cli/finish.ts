import { existsSync } from "node:fs";
import type { Captioner } from "../caption/captioner.ts";
import { evaluate } from "../caption/evaluate.ts";
import { loadSafetensors } from "../checkpoint/files.ts";
import type { Device } from "../device/device.ts";
import { readSynonyms } from "../metrics/files.ts";
import { showDecoding } from "./decoding-options.ts";
import { evaluationTerms, evaluationWarnings, showEvaluations } from "./evaluations.ts";
import { duration, megabytes } from "../core/format.ts";
import { readMetrics } from "./metrics-log.ts";
import { writeModelCard } from "./model-card.ts";
import type { Progress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { print } from "./terminal.ts";
import type { TrainingPlan } from "./train-plan.ts";

/**
 * Scores the best checkpoint of a run on the test pictures, writes the report, and says what there is now.
 * @param dispatches GPU commands of a training step, where one was run.
 */
export async function finishRun(device: Device, { run, recipe, data, command }: TrainingPlan, captioner: Captioner, progress: Progress, dispatches?: number): Promise<number> {
  if (existsSync(run.best)) captioner.load((await loadSafetensors(run.best)).tensors, run.best);
  const begun = performance.now();
  const { test } = data.source;
  const evaluations = await evaluate(captioner, test, { ...recipe.scoring, synonyms: await readSynonyms() }, (done, total) => progress.update("scoring", done, total, `${done} of ${total} captions`));
  progress.stop();
  const seconds = (performance.now() - begun) / 1000;
  const terms = evaluationTerms(evaluations, data.scoredOnTraining ? "the ones trained on" : "test", showDecoding(captioner.decodingFor({})));

  print();
  print(`scores of the best checkpoint: ${terms}`);
  for (const line of showEvaluations(evaluations)) print(line);
  for (const line of evaluationWarnings(evaluations, test.length)) print(`note: ${line}`);

  const timings: readonly (readonly [string, string])[] = [
    ["captions and scores", `${duration(seconds)} for ${evaluations.reduce((sum, { scores }) => sum + scores.images, 0)} captions`],
    ...(dispatches === undefined ? [] : [["GPU commands a training step", String(dispatches)] as const]),
    ["most GPU memory", `${megabytes(device.memory().peakBytes)}`],
  ];
  await writeReport(run.report, {
    device,
    captioner,
    data: { name: data.title, summary: data.summary, set: test },
    evaluations,
    terms,
    notices: data.remark === null ? [] : [data.remark],
    timings,
    command,
    training: { metrics: run.metrics, recipe, config: run.config },
  });

  const history = readMetrics(run.metrics).steps.at(-1);
  await writeModelCard(run.card, {
    captioner,
    recipe,
    device,
    command,
    seconds: history?.seconds ?? 0,
    steps: history?.step ?? 0,
    data: data.summary,
    scenes: data.choice.kind === "scenes",
    evaluations,
    terms,
  });

  print();
  print(`run folder   ${run.folder}`);
  print(`  report     ${run.report}   (open it in a browser)`);
  print(`  model      ${run.best}`);
  print(`  model card ${run.card}`);
  print(`  last state ${run.last}   (to resume from)`);
  print(`  metrics    ${run.metrics}`);
  print(`caption a picture with:  npm run caption -- picture.jpg --model ${run.folder}`);
  return 0;
}
