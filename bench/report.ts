import type { PartTime } from "./full-size.ts";
import type { HostOverhead } from "./host.ts";
import type { KernelTime } from "./kernels.ts";
import { spreadOf, type Summary } from "./measure.ts";
import { idealSeconds, type Peak, type Rates } from "./peak.ts";
import type { PeerTime } from "./peers/compare.ts";
import { CONTENDERS } from "./peers/worker.ts";
import type { Environment } from "./environment.ts";
import type { Comparison } from "./results.ts";
import type { KernelShare, StepTime } from "./step.ts";
import { bytes, digits, duration, header, percent, row, type Column } from "./table.ts";
import type { Cost } from "../src/kernels/kernel.ts";

/** How much faster than jax-js the products shall be on a software adapter. */
const WANTED_RATIO = 1.5;
const WANTED_FOR = /^matmul (512|1024)×/;

/** How many times the bare cost of a dispatch a replayed one may cost. */
export const WANTED_HOST_RATIO = 2;

export function environmentLines(environment: Environment, summary: string): string[] {
  const { commit, cpu, cores, memoryBytes, load, platform, versions, features, date } = environment;
  return [
    `sightline ${versions.sightline}, commit ${commit}, ${date}`,
    summary,
    `features: ${features.length === 0 ? "none" : features.join(", ")}`,
    `${cpu}, ${cores} cores, ${bytes(memoryBytes)}, load ${digits(load)}; ${platform}, Node ${versions.node}, webgpu ${versions.webgpu}`,
  ];
}

export function peakLine({ flops, flopsTime, bandwidth, bandwidthTime }: Peak): string {
  const spread = (time: Summary): string => `spread ${percent(spreadOf(time))}`;
  return `peak: ${digits(flops / 1e9)} GFLOP/s in an FMA loop (${spread(flopsTime)}), ${digits(bandwidth / 1e9)} GB/s in a copy (${spread(bandwidthTime)})`;
}

/** Columns that every measured row has after its name. */
const MEASURED: readonly Column[] = [
  { title: "median", width: 8 },
  { title: "spread", width: 6 },
  { title: "GFLOP/s", width: 8 },
  { title: "GB/s", width: 7 },
  { title: "of peak", width: 7 },
  { title: "bound by", width: 10, align: "left" },
];

function measured(time: Summary, cost: Cost, peak: Rates): string[] {
  const { median } = time;
  const bound = cost.flops / peak.flops > cost.bytes / peak.bandwidth ? "arithmetic" : "memory";
  return [duration(median), percent(spreadOf(time)), digits(cost.flops / median / 1e9), digits(cost.bytes / median / 1e9), percent(idealSeconds(cost, peak) / median), bound];
}

const KERNEL_COLUMNS: readonly Column[] = [{ title: "op and shapes", width: 56, align: "left" }, { title: "pass", width: 8, align: "left" }, { title: "kernels", width: 7 }, ...MEASURED];

export function kernelHeader(): string {
  return header(KERNEL_COLUMNS);
}

export function kernelRow({ op, sample, direction, kernels, cost, time }: KernelTime, peak: Rates): string {
  const count = Object.values(kernels).reduce((sum, n) => sum + n, 0);
  const named = [`${op} ${sample}`, direction, String(count)];
  if ("median" in time) return row(KERNEL_COLUMNS, [...named, ...measured(time, cost, peak)]);
  return `${row(KERNEL_COLUMNS.slice(0, 3), named)}  left out: about ${duration(time.tooLong)} a run; a larger --seconds measures it`;
}

const SHARE_COLUMNS: readonly Column[] = [{ title: "kernel in the training step", width: 40, align: "left" }, { title: "dispatches", width: 10 }, { title: "of all", width: 6 }, ...MEASURED];

/** Where the time of the training step goes, the largest share first. */
export function shareLines(shares: readonly KernelShare[], peak: Rates): string[] {
  if (shares.length === 0) return ["this adapter has no timestamps: kernels within the training step are not timed"];
  const all = shares.reduce((sum, { time }) => sum + time.median, 0);
  const lines = shares.map(({ kernel, dispatches, cost, time }) => row(SHARE_COLUMNS, [kernel, String(dispatches), percent(time.median / all), ...measured(time, cost, peak)]));
  return [header(SHARE_COLUMNS), ...lines];
}

export function stepLines({ name, detail, time, firstSeconds, dispatches, cost, peakBytes, processBytes }: StepTime, peak: Rates): string[] {
  const rate = cost === null ? "" : `, ${digits(cost.flops / time.median / 1e9)} GFLOP/s (${percent(idealSeconds(cost, peak) / time.median)} of peak)`;
  return [
    `${name} (${detail}): ${duration(time.median)}, spread ${percent(spreadOf(time))}${rate}`,
    `  ${dispatches} dispatches; first run, with compiling, ${duration(firstSeconds)}; device memory at most ${bytes(peakBytes)}, process ${bytes(processBytes)}`,
  ];
}

export function hostLines({ dispatches, replay, bare, ratio }: HostOverhead): string[] {
  const verdict = ratio <= WANTED_HOST_RATIO ? "reached" : "MISSED";
  return [
    `host overhead (null adapter, training step of ${dispatches} dispatches, from JavaScript to submit):`,
    `  replayed ${duration(replay.median)} a dispatch (spread ${percent(spreadOf(replay))}), bare WebGPU calls ${duration(bare.median)} (spread ${percent(spreadOf(bare))})`,
    `  ratio ${digits(ratio)} (at most ${WANTED_HOST_RATIO} wanted): ${verdict}`,
  ];
}

const PEER_COLUMNS: readonly Column[] = [
  { title: "workload", width: 42, align: "left" },
  ...CONTENDERS.map((title) => ({ title, width: 11 })),
  { title: "GFLOP/s", width: 8 },
  { title: "× jax-js", width: 8 },
  { title: "× tfjs", width: 8 },
];

export function peerHeader(): string {
  return header(PEER_COLUMNS);
}

/** Times of all, our rate, and how many times faster than each other library this one is. */
export function peerRow(result: PeerTime): string {
  const { workload, flops, times } = result;
  const own = times.sightline;
  const cells = CONTENDERS.map((name) => {
    const time = times[name];
    return typeof time === "object" && time !== null ? duration(time.median) : typeof time === "string" ? "failed" : "-";
  });
  const rate = typeof own === "object" && own !== null ? digits(flops / own.median / 1e9) : "-";
  return row(PEER_COLUMNS, [workload, ...cells, rate, showRatio(peerRatio(result, "jax-js")), showRatio(peerRatio(result, "tfjs-webgpu"))]);
}

/** Why a contender has no time, a line each. */
export function peerFailures({ workload, times }: PeerTime): string[] {
  return Object.entries(times).flatMap(([name, time]) => (typeof time === "string" ? [`  ${name}, ${workload}: ${time}`] : []));
}

/** The numbers that are wanted, and whether they were reached. */
export function peerVerdicts(results: readonly PeerTime[]): string[] {
  return results.flatMap((result) => {
    const ratio = WANTED_FOR.test(result.workload) ? peerRatio(result, "jax-js") : null;
    return ratio === null ? [] : [`${result.workload}: ${digits(ratio)} times as fast as jax-js (at least ${WANTED_RATIO} wanted): ${ratio >= WANTED_RATIO ? "reached" : "MISSED"}`];
  });
}

/** How many times faster than another this library is; null where one of them has no time. */
export function peerRatio({ times }: PeerTime, name: (typeof CONTENDERS)[number]): number | null {
  const own = times.sightline;
  const other = times[name];
  return typeof own === "object" && own !== null && typeof other === "object" && other !== null ? other.median / own.median : null;
}

function showRatio(ratio: number | null): string {
  return ratio === null ? "-" : digits(ratio);
}

const COMPARISON_COLUMNS: readonly Column[] = [
  { title: "measurement", width: 66, align: "left" },
  { title: "A", width: 8 },
  { title: "B", width: 8 },
  { title: "B / A", width: 6 },
  { title: "", width: 14, align: "left" },
];

export function comparisonLines(rows: readonly Comparison[]): string[] {
  const lines = rows.map(({ name, a, b, ratio, unclear }) => row(COMPARISON_COLUMNS, [name, duration(a.median), duration(b.median), digits(ratio), unclear ? "within spread" : ratio < 1 ? "faster" : "slower"]));
  return [header(COMPARISON_COLUMNS), ...lines];
}

const PART_COLUMNS: readonly Column[] = [
  { title: "model", width: 10, align: "left" },
  { title: "what", width: 26, align: "left" },
  { title: "first", width: 9 },
  { title: "then", width: 9 },
  { title: "peak memory", width: 12 },
  { title: "of the file", width: 11 },
];

export function partHeader(): string {
  return header(PART_COLUMNS);
}

export function partRow({ model, part, fileBytes, first, median, peakBytes }: PartTime): string {
  const what = { load: `load ${bytes(fileBytes)}`, forward: "forward", train: "training step, batch 1", words: "a word, from the cache" }[part];
  return row(PART_COLUMNS, [model, what, duration(first), part === "load" ? "" : duration(median), bytes(peakBytes), part === "load" ? percent(peakBytes / fileBytes) : ""]);
}

export function partNotes(times: readonly PartTime[]): string[] {
  const words = times.find(({ part }) => part === "words");
  return [
    "(memory is the whole process's; on a software adapter the device's memory is part of it. \"first\" compiles; of words it is the whole text.)",
    ...(words?.early === undefined || words.late === undefined ? [] : [`a word of GPT-2 takes ${duration(words.early)} at the beginning of a text and ${duration(words.late)} at its end`]),
  ];
}
