import { Captioner } from "../caption/captioner.ts";
import { featureKey } from "../caption/features.ts";
import { prepareCaptioner } from "../caption/prepare.ts";
import { epochsOf } from "../caption/recipe.ts";
import { stepLine, validationLine } from "../caption/run-log.ts";
import { trainCaptioner, type StepProgress, type TrainingHooks, type TrainingResult, type ValidationReport } from "../caption/training.ts";
import { saveSafetensors, writeFileAtomically } from "../checkpoint/files.ts";
import { InputError } from "../core/errors.ts";
import type { Device } from "../device/device.ts";
import { FeatureFiles } from "./feature-files.ts";
import { finishRun } from "./finish.ts";
import { counted, duration, significant, thousands } from "../core/format.ts";
import { Interruption } from "./interruption.ts";
import { MetricsLog, readMetrics } from "./metrics-log.ts";
import { Progress } from "./progress.ts";
import { withDevice } from "./session.ts";
import { print } from "./terminal.ts";
import { closeWeights, planResumed, planRun, type TrainingPlan, type TrainOptions } from "./train-plan.ts";

/** `sightline train`: 0 when the run is complete, 130 when it was stopped. */
export async function train(options: TrainOptions, command: string): Promise<number> {
  const progress = new Progress(process.stdout);
  const interruption = new Interruption((line) => progress.print(line));
  const reading = (done: number, total: number): void => {
    progress.update("reading pictures", done, total);
    if (done === total) progress.stop();
  };
  try {
    const plan = options.resume === undefined ? await planRun(options, command, reading) : await planResumed(options.resume, options, command, reading);
    return await withDevice(options.adapter, (device) => runPlan(device, plan, progress, interruption)).finally(() => closeWeights(plan.weights));
  } finally {
    progress.stop();
    interruption.stop();
  }
}

async function runPlan(device: Device, plan: TrainingPlan, progress: Progress, interruption: Interruption): Promise<number> {
  const { run, recipe, request, data, weights, resumed } = plan;
  if (recipe.training.precision === "f16" && !device.limits.features.has("shader-f16")) throw new InputError("--precision f16 needs an adapter with the feature shader-f16; got one without it", "train in f32");
  print(device.summary);
  print(data.summary);
  for (const line of [...data.warnings, ...(data.remark === null ? [] : [data.remark])]) print(`note: ${line}`);

  if (resumed !== undefined && request !== undefined) print(`note: ${resumed.name} came without the other files of its run, which goes on in ${run.folder}`);

  const captioner = resumed === undefined ? await prepareCaptioner(device, data.source, recipe, weights) : await Captioner.fromCheckpoint(device, resumed.file, resumed.name);
  if (request !== undefined) await writeFileAtomically(run.config, [Buffer.from(`${JSON.stringify({ ...recipe, data: request }, null, 2)}\n`)]);
  const epochs = epochsOf(recipe);
  if (resumed !== undefined && resumed.state.epoch >= epochs) {
    print(`${run.folder} is complete: all ${counted(epochs, "epoch")}, ${counted(resumed.state.step, "step")}`);
    return finishRun(device, plan, captioner, progress);
  }
  const result = await runTraining(captioner, plan, progress, interruption);
  if (result.stopped) {
    print(`stopped after step ${thousands(result.step)} of ${thousands(result.steps)}; everything is saved. To continue:`);
    print(`  npm run train -- --resume ${run.folder}`);
    return 130;
  }
  if (result.early) print(`ended after step ${thousands(result.step)} of ${thousands(result.steps)}: ${counted(recipe.training.patience ?? 0, "validation")} in a row brought nothing better`);
  print(`trained ${counted(result.step, "step")} in ${duration(result.seconds)}`);
  return finishRun(device, plan, captioner, progress, result.dispatches);
}

async function runTraining(captioner: Captioner, { run, recipe, data, resumed, features }: TrainingPlan, progress: Progress, interruption: Interruption): Promise<TrainingResult> {
  const before = resumed?.state.step ?? 0;
  const metrics = await MetricsLog.open(run.metrics, before);
  const secondsBefore = readMetrics(run.metrics).steps.at(-1)?.seconds ?? 0;
  const epochs = epochsOf(recipe);
  const begun = performance.now();
  const hooks: TrainingHooks = {
    signal: interruption.begin(),
    onLook: (done, total) => progress.update("looking at pictures", done, total, `${thousands(done)} of ${thousands(total)} pictures`),
    onStart(steps) {
      progress.stop();
      const parameters = captioner.model.parameterCount();
      print(`model: ${captioner.system}, ${thousands(parameters)} weights, ${thousands(captioner.codec.size)} words, pictures of ${recipe.picture.size} × ${recipe.picture.size}`);
      const from = resumed === undefined ? "" : `, continued from step ${thousands(before)}`;
      print(`training: ${counted(epochs, "epoch")}, ${counted(steps, "step")} of ${counted(Math.min(recipe.training.batchSize, data.source.train.length), "picture")}${from}; run folder ${run.folder}`);
    },
    onCompile: (done, total) => progress.update("compiling", done, total, `${done} of ${total} pipelines`),
    onStep(now) {
      metrics.write(stepLine(now, secondsBefore + (performance.now() - begun) / 1000));
      progress.update("training", now.step, now.steps, showStep(now));
    },
    onValidation(report) {
      metrics.write(validationLine(report));
      for (const line of showValidation(report, epochs)) progress.print(line);
    },
    save: ({ tensors, metadata }, kind) => saveSafetensors(run[kind], tensors, { ...metadata, data: JSON.stringify(data.choice) }),
  };
  let seen: FeatureFiles | null = null;
  const openFeatures = async (): Promise<FeatureFiles> => (seen ??= await FeatureFiles.open(features, await featureKey(captioner)));
  try {
    return await trainCaptioner(captioner, data.source, recipe, openFeatures, hooks, resumed && { tensors: resumed.file.tensors, state: resumed.state });
  } finally {
    await (seen as FeatureFiles | null)?.close();
    progress.stop();
    metrics.close();
    interruption.end();
  }
}

function showStep({ epoch, epochs, step, steps, loss, reward, picturesPerSecond, secondsLeft }: StepProgress): string {
  const reached = reward === null ? `loss ${loss.toFixed(3)}` : `reward ${reward.toFixed(3)}`;
  return `epoch ${epoch}/${epochs}  step ${step}/${steps}  ${reached}  ${significant(picturesPerSecond)} pictures/s  ${duration(secondsLeft)} left`;
}

function showValidation({ epoch, step, loss, reward, best, samples }: ValidationReport, epochs: number): string[] {
  const verdict = best ? "the best so far, saved" : "not the best";
  return [
    `epoch ${epoch} of ${epochs}, step ${thousands(step)}: validation ${reward === null ? "" : `CIDEr-D ${reward.toFixed(4)}, `}loss ${loss.toFixed(4)}, ${verdict}`,
    ...samples.slice(0, 2).map(({ name, caption, reference }) => `  ${name}: ${caption === "" ? "(nothing)" : caption}\n    should be: ${reference}`),
  ];
}
