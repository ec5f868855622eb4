import { existsSync } from "node:fs";
import type { Captioner } from "../caption/captioner.ts";
import { evaluate } from "../caption/evaluate.ts";
import { loadSafetensors } from "../checkpoint/files.ts";
import type { Device } from "../device/device.ts";
import { duration, megabytes } from "./format.ts";
import type { Progress } from "./progress.ts";
import { writeReport } from "./report.ts";
import { scoringTerms, showScores } from "./scores.ts";
import { print } from "./terminal.ts";
import type { TrainingPlan } from "./train-plan.ts";

/**
 * Scores the best checkpoint of a run on the test pictures, writes the report, and says what there is now.
 * @param dispatches GPU commands of a training step, where one was run.
 */
export async function finishRun(device: Device, { run, recipe, data, command }: TrainingPlan, captioner: Captioner, progress: Progress, dispatches?: number): Promise<number> {
  if (existsSync(run.best)) captioner.load((await loadSafetensors(run.best)).tensors, run.best);
  const begun = performance.now();
  const { pictures, scores } = await evaluate(captioner, data.source.test, {}, (done, total) => progress.update("scoring", done, total, `${done} of ${total} pictures`));
  progress.stop();
  const seconds = (performance.now() - begun) / 1000;
  const terms = scoringTerms(scores, data.scoredOnTraining ? "the ones trained on" : "test", 1);

  print();
  print(`scores of the best checkpoint: ${terms}`);
  for (const line of showScores(scores)) print(line);

  const timings: readonly (readonly [string, string])[] = [
    ["scoring", `${duration(seconds)} for ${scores.images} pictures`],
    ...(dispatches === undefined ? [] : [["GPU commands a training step", String(dispatches)] as const]),
    ["most GPU memory", `${megabytes(device.memory().peakBytes)}`],
  ];
  await writeReport(run.report, {
    device,
    captioner,
    data: { name: data.title, summary: data.summary, set: data.source.test },
    pictures,
    scores,
    terms,
    notices: data.remark === null ? [] : [data.remark],
    timings,
    command,
    training: { metrics: run.metrics, recipe },
  });

  print();
  print(`run folder   ${run.folder}`);
  print(`  report     ${run.report}   (open it in a browser)`);
  print(`  model      ${run.best}`);
  print(`  last state ${run.last}   (to resume from)`);
  print(`  metrics    ${run.metrics}`);
  print(`caption a picture with:  npm run caption -- picture.jpg --model ${run.folder}`);
  return 0;
}
