import type { Command } from "../src/device/commands.ts";
import type { Device } from "../src/device/device.ts";
import type { Cost } from "../src/kernels/kernel.ts";
import { defaultStep, type DefaultStep } from "./default-step.ts";
import { timeInSitu } from "./in-situ.ts";
import { totalCost } from "./kernels.ts";
import { bind, measure, summarize, timed, type Summary } from "./measure.ts";

/** Steps in which each kernel is timed. */
const SHARE_RUNS = 5;

/** What the default training step, or one caption, took. */
export interface StepTime {
  readonly name: "training step" | "caption";
  readonly detail: string;
  readonly time: Summary;
  /** The first run: tracing, planning, compiling. */
  readonly firstSeconds: number;
  readonly dispatches: number;
  readonly cost: Cost | null;
  /** The most that the device's buffers held. */
  readonly peakBytes: number;
  /** Memory of the whole process at that time. */
  readonly processBytes: number;
}

/** The share of one kernel in a step, all its dispatches together. */
export interface KernelShare {
  readonly kernel: string;
  readonly dispatches: number;
  readonly cost: Cost;
  readonly time: Summary;
}

/** Measures the default training step, its kernels where the adapter has timestamps, and one caption; `budget` in seconds for each. */
export async function measureStep(device: Device, budget: number): Promise<{ steps: StepTime[]; shares: KernelShare[] }> {
  using made = await defaultStep(device);
  const training = await measureTraining(device, made, budget);
  const shares = device.limits.features.has("timestamp-query") ? await measureShares(device, made.step.recording!.list) : [];
  return { steps: [training, await measureCaption(device, made, budget)], shares };
}

async function measureTraining(device: Device, { step, batch }: DefaultStep, budget: number): Promise<StepTime> {
  const run = (): Promise<unknown> => step.run(batch, 0);
  const { firstSeconds, time, dispatches } = await measureWhole(device, run, budget);
  const { list } = step.recording!;
  const [pictures, , height, width] = batch.seen[0].shape;
  return { name: "training step", detail: `${pictures} pictures of ${width}×${height}`, time, firstSeconds, dispatches, cost: totalCost(list), ...memoryOf(device) };
}

async function measureCaption(device: Device, { captioner, picture }: DefaultStep, budget: number): Promise<StepTime> {
  const run = (): Promise<unknown> => captioner.describe([picture]);
  const { firstSeconds, time, dispatches } = await measureWhole(device, run, budget);
  return { name: "caption", detail: `1 picture, greedy, ${captioner.config.maxLength} words`, time, firstSeconds, dispatches, cost: null, ...memoryOf(device) };
}

/** Times an action that submits by itself, with what its first run took and the dispatches of a later one. */
async function measureWhole(device: Device, action: () => Promise<unknown>, budget: number): Promise<{ firstSeconds: number; time: Summary; dispatches: number }> {
  const whole = async (): Promise<void> => {
    await action();
    await device.idle();
  };
  const firstSeconds = await timed(whole);
  const before = device.dispatched;
  await whole();
  const dispatches = device.dispatched - before;
  const repeat = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await whole();
  };
  const time = (await measure((times) => timed(() => repeat(times)), budget)) as Summary; // no patience given
  return { firstSeconds, time, dispatches };
}

function memoryOf(device: Device): Pick<StepTime, "peakBytes" | "processBytes"> {
  return { peakBytes: device.memory().peakBytes, processBytes: process.memoryUsage().rss };
}

/** Times of all kernels within the step, the longest first. */
async function measureShares(device: Device, commands: readonly Command[]): Promise<KernelShare[]> {
  const bound = await bind(device, commands);
  const runs: number[][] = [];
  while (runs.length < SHARE_RUNS) runs.push(await timeInSitu(device, bound));
  const names = [...new Set(commands.map(({ name }) => name))];
  const shares = names.map((kernel): KernelShare => {
    const own = commands.flatMap(({ name }, i) => (name === kernel ? [i] : []));
    const time = summarize(runs.map((seconds) => own.reduce((sum, i) => sum + seconds[i], 0)));
    return { kernel, dispatches: own.length, cost: totalCost(own.map((i) => commands[i])), time };
  });
  return shares.sort((a, b) => b.time.median - a.time.median);
}
