import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { InputError } from "../src/core/errors.ts";
import type { Environment } from "./environment.ts";
import type { HostOverhead } from "./host.ts";
import type { KernelTime } from "./kernels.ts";
import type { Summary } from "./measure.ts";
import type { Peak } from "./peak.ts";
import type { PeerTime } from "./peers/compare.ts";
import type { KernelShare, StepTime } from "./step.ts";

const FORMAT = 1;

/** All that one run of the bench found. Times are in seconds, memory in bytes. */
export interface Results {
  readonly format: typeof FORMAT;
  readonly environment: Environment;
  readonly peak: Peak;
  readonly kernels: readonly KernelTime[];
  readonly steps: readonly StepTime[];
  readonly shares: readonly KernelShare[];
  readonly host: HostOverhead | null;
  readonly peers: readonly PeerTime[];
}

export function makeResults(found: Omit<Results, "format">): Results {
  return { format: FORMAT, ...found };
}

/** Writes `<date>-<adapter>.json` into a folder and returns the file. */
export function writeResults(results: Results, folder: string): string {
  const { date, adapter } = results.environment;
  const time = date.replace(/\.\d+Z$/, "Z").replace(/[-:]/g, "");
  const name = `${adapter.vendor} ${adapter.description}`.toLowerCase().replace(/[^a-z0-9.]+/g, "-").replace(/^-|-$/g, "");
  const file = join(folder, `${time}-${name}.json`);
  try {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, `${JSON.stringify(results, null, 1)}\n`);
  } catch (error) {
    throw new InputError(`cannot write the results to ${file}: ${(error as Error).message}`);
  }
  return file;
}

/** @throws InputError if the file cannot be read or holds no results. */
export function readResults(file: string): Results {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new InputError(`${file}: cannot be read as results: ${(error as Error).message}`, "give two files from bench/results");
  }
  const { format } = (typeof value === "object" && value !== null ? value : {}) as { format?: unknown };
  if (format !== FORMAT) throw new InputError(`${file}: expected results of format ${FORMAT}; got ${JSON.stringify(format)}`, "give two files from bench/results");
  return value as Results;
}

/** One measurement in two files. */
export interface Comparison {
  readonly name: string;
  readonly a: Summary;
  readonly b: Summary;
  /** Time in B over time in A: below 1, B is faster. */
  readonly ratio: number;
  /** Whether the middle halves of both overlap: the difference may be chance. */
  readonly unclear: boolean;
}

/** What both files measured, in the order of B; and how many stand in one only. */
export function compareResults(a: Results, b: Results): { rows: Comparison[]; onlyA: number; onlyB: number } {
  const before = timesOf(a);
  const after = timesOf(b);
  const rows = [...after].flatMap(([name, time]): Comparison[] => {
    const old = before.get(name);
    if (old === undefined) return [];
    return [{ name, a: old, b: time, ratio: time.median / old.median, unclear: time.q1 <= old.q3 && old.q1 <= time.q3 }];
  });
  return { rows, onlyA: before.size - rows.length, onlyB: after.size - rows.length };
}

/** Every time of the results under its name. */
function timesOf({ peak, kernels, steps, shares, host, peers }: Results): Map<string, Summary> {
  const times = new Map<string, Summary>([["peak: FMA loop", perUnit(peak.flopsTime, peak.flops)], ["peak: copy", perUnit(peak.bandwidthTime, peak.bandwidth)]]);
  for (const { op, sample, direction, time } of kernels) if ("median" in time) times.set(`${op} ${sample} ${direction}`, time);
  for (const { name, time } of steps) times.set(name, time);
  for (const { kernel, time } of shares) times.set(`training step: ${kernel}`, time);
  if (host !== null) times.set("host: replay, a dispatch", host.replay).set("host: bare, a dispatch", host.bare);
  for (const { workload, times: byName } of peers) {
    for (const [name, time] of Object.entries(byName)) if (time !== null && typeof time === "object") times.set(`${name}: ${workload}`, time);
  }
  return times;
}

/** The forms of the loops differ in size, so what compares is the time of 10⁹ operations or bytes. */
function perUnit({ median, q1, q3, samples }: Summary, rate: number): Summary {
  const scale = 1e9 / rate / q1;
  return { median: median * scale, q1: q1 * scale, q3: q3 * scale, samples };
}
