import { DISPOSE } from "../src/core/dispose.ts";
import type { Device } from "../src/device/device.ts";
import { bindCommand, encodeCommands, type BoundCommand, type Command } from "../src/device/commands.ts";

/** Samples of a median: never fewer, and more while the time budget lasts. */
const MIN_SAMPLES = 5;
const MAX_SAMPLES = 25;

/** Commands of one pass: more would only make the encoder's memory grow. */
const MAX_ENCODED = 20_000;

/** Times of one run of something, in seconds. */
export interface Summary {
  readonly median: number;
  /** First and third quartile. */
  readonly q1: number;
  readonly q3: number;
  readonly samples: number;
}

/** Something that can be run several times in a row; the result is the time of all runs together, in seconds. */
export type Runner = (times: number) => Promise<number>;

/** Median and quartiles, interpolated between neighbours. @throws Error without values. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new Error("summarize: needs at least one value; got none");
  const sorted = values.toSorted((a, b) => a - b);
  const quantile = (share: number): number => {
    const place = share * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.ceil(place);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
  };
  return { median: quantile(0.5), q1: quantile(0.25), q3: quantile(0.75), samples: sorted.length };
}

/** Distance of the quartiles as a share of the median. */
export function spreadOf({ median, q1, q3 }: Summary): number {
  return median === 0 ? 0 : (q3 - q1) / median;
}

/** The wall clock, in seconds. */
export async function timed(action: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await action();
  return (performance.now() - begun) / 1000;
}

/**
 * How often something must run for a sample to take about `seconds`: doubled until the clock can be trusted, so that
 * the delay of a submission does not count. The runs also warm up.
 */
export async function calibrate(run: Runner, seconds: number, most = Infinity): Promise<number> {
  for (let times = 1; ; times = Math.min(most, times * 4)) {
    const taken = await run(times);
    if (taken >= seconds / 4 || times >= most) return Math.max(1, Math.min(most, Math.round((times * seconds) / Math.max(taken, 1e-6))));
  }
}

/** A run that takes too long to be measured, in seconds. */
export interface TooLong {
  readonly tooLong: number;
}

/**
 * Measures one run of something within a time budget in seconds. The first run, which compiles and touches memory, is
 * left out; a run longer than the patience, in seconds, is not repeated.
 */
export async function measure(run: Runner, budget: number, most = Infinity, patience = Infinity): Promise<Summary | TooLong> {
  const begun = performance.now();
  const first = await run(1);
  const typical = first > patience && first < 4 * patience ? await run(1) : first;
  if (typical > patience) return { tooLong: typical };
  const times = await calibrate(run, budget / (2 * MIN_SAMPLES), most);
  const samples: number[] = [];
  while (samples.length < MIN_SAMPLES || (samples.length < MAX_SAMPLES && performance.now() - begun < budget * 1000)) samples.push((await run(times)) / times);
  return summarize(samples);
}

/** Measures commands, run in their order as one unit: repeated inside of one pass, whose time is divided. */
export async function measureCommands(device: Device, commands: readonly Command[], budget: number, patience?: number): Promise<Summary | TooLong> {
  using stopwatch = new Stopwatch(device, await bind(device, commands));
  return await measure((times) => stopwatch.run(times), budget, Math.max(1, Math.floor(MAX_ENCODED / commands.length)), patience);
}

/** Compiles the pipelines and creates the bind groups. */
export async function bind(device: Device, commands: readonly Command[]): Promise<BoundCommand[]> {
  await device.pipelines.prepare(commands.map(({ name, program, access }) => ({ name, wgsl: program.wgsl, access })));
  const bound = device.guard("bench", () => commands.map((command) => bindCommand(device.gpu, device.pipelines, command)));
  await device.settle();
  return bound;
}

/**
 * Times repeated commands in one pass: by the GPU's own clock where it is one, by the wall clock on adapters that
 * compute on the CPU, where both mean the same.
 */
export class Stopwatch implements Disposable {
  private readonly device: Device;
  private readonly commands: readonly BoundCommand[];
  private readonly stamps: { readonly set: GPUQuerySet; readonly resolved: GPUBuffer; readonly staging: GPUBuffer } | null = null;

  constructor(device: Device, commands: readonly BoundCommand[]) {
    this.device = device;
    this.commands = commands;
    if (!usesTimestamps(device)) return;
    const { gpu } = device;
    this.stamps = {
      set: gpu.createQuerySet({ label: "bench", type: "timestamp", count: 2 }),
      resolved: gpu.createBuffer({ label: "bench timestamps", size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC }),
      staging: gpu.createBuffer({ label: "bench timestamps", size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }),
    };
  }

  /** Seconds that `times` runs of the commands take. */
  async run(times: number): Promise<number> {
    const { stamps, device } = this;
    const { gpu } = device;
    const repeated = Array.from({ length: times }, () => this.commands).flat();
    const encoder = gpu.createCommandEncoder({ label: "bench" });
    encodeCommands(encoder, repeated, "bench", stamps === null ? undefined : { querySet: stamps.set, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 });
    if (stamps !== null) {
      encoder.resolveQuerySet(stamps.set, 0, 2, stamps.resolved, 0);
      encoder.copyBufferToBuffer(stamps.resolved, 0, stamps.staging, 0, 16);
    }
    const buffer = encoder.finish();
    const wall = await timed(async () => {
      gpu.queue.submit([buffer]);
      await gpu.queue.onSubmittedWorkDone();
    });
    await device.settle();
    if (stamps === null) return wall;
    await stamps.staging.mapAsync(GPUMapMode.READ);
    const [begin, end] = new BigUint64Array(stamps.staging.getMappedRange());
    const seconds = Number(end - begin) / 1e9;
    stamps.staging.unmap();
    return seconds;
  }

  [DISPOSE](): void {
    if (this.stamps === null) return;
    this.stamps.set.destroy();
    this.stamps.resolved.destroy();
    this.stamps.staging.destroy();
  }
}

/** Whether times come from the GPU's own clock. */
export function usesTimestamps(device: Device): boolean {
  return device.adapter.kind === "hardware" && device.limits.features.has("timestamp-query");
}
