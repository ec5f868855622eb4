import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { cpus, loadavg, totalmem } from "node:os";
import type { AdapterSummary } from "../src/device/adapter.ts";
import type { Device } from "../src/device/device.ts";
import { BENCH_FOLDER, ownVersion, versionIn } from "./peers/install.ts";

/** Where and when results were measured: what must agree before two of them may be compared. */
export interface Environment {
  readonly date: string;
  readonly commit: string;
  readonly adapter: AdapterSummary;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number | boolean>>;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Processes that wanted to run in the last minute, when the bench began. */
  readonly load: number;
  readonly platform: string;
  readonly versions: Readonly<Record<"sightline" | "node" | "webgpu", string>>;
}

export function readEnvironment(device: Device, date: Date): Environment {
  const { features, ...limits } = device.limits;
  const processors = cpus();
  return {
    date: date.toISOString(),
    commit: readCommit(),
    adapter: device.adapter,
    features: [...features].toSorted(),
    limits,
    cpu: processors[0]?.model ?? "unknown",
    cores: processors.length,
    memoryBytes: totalmem(),
    load: loadavg()[0],
    platform: `${process.platform} ${process.arch}`,
    versions: { sightline: ownVersion(), node: process.versions.node, webgpu: versionOf("webgpu") },
  };
}

/** The commit that is checked out, marked where files differ from it. */
export function readCommit(): string {
  try {
    const git = (...args: string[]): string => execFileSync("git", args, { cwd: BENCH_FOLDER, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    return `${git("rev-parse", "--short=12", "HEAD")}${git("status", "--porcelain", "--untracked-files=no") === "" ? "" : " with changes"}`;
  } catch {
    return "unknown"; // no git, or no repository
  }
}

function versionOf(name: string): string {
  return versionIn(createRequire(import.meta.url).resolve(`${name}/package.json`));
}
