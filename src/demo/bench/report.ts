/** Measurements as people and programs read them. */

import type { Rates } from "../../../bench/peak.ts";
import { duration, percent } from "../../core/format.ts";
import type { Fact } from "./facts.ts";
import type { BenchRow } from "./service.ts";

/** All that a report of this device says. */
export interface BenchReport {
  readonly date: Date;
  readonly browser: string;
  readonly facts: readonly Fact[];
  readonly peak: Rates | null;
  readonly rows: readonly BenchRow[];
}

/** `3.21 ms`, `48 µs`. */
export function shortTime(seconds: number): string {
  if (seconds >= 1) return duration(seconds);
  return seconds >= 1e-3 ? `${digits(seconds * 1e3)} ms` : `${digits(seconds * 1e6)} µs`;
}

/** Three significant digits. */
export function digits(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** The rate that its limit is counted in: `812 GFLOP/s` or `34.2 GB/s`. */
export function rateOf({ bound, flops, bytes, seconds }: BenchRow): string {
  if (seconds === null) return "";
  return bound === "arithmetic" ? `${digits(flops / seconds / 1e9)} GFLOP/s` : `${digits(bytes / seconds / 1e9)} GB/s`;
}

/** For an issue or a message. */
export function markdownOf({ date, browser, facts, peak, rows }: BenchReport): string {
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  return [
    `sightline bench, ${date.toISOString()}`,
    "",
    "| | |",
    "|---|---|",
    `| Browser | ${cell(browser)} |`,
    ...facts.map(({ name, value }) => `| ${name} | ${cell(value)} |`),
    ...(peak === null ? [] : [`| Peak | ${digits(peak.flops / 1e9)} GFLOP/s, ${digits(peak.bandwidth / 1e9)} GB/s |`]),
    "",
    "| kernel | pass | time | spread | rate | of peak |",
    "|---|---|---:|---:|---:|---:|",
    ...rows.map((row) => `| ${cell(`${row.op} ${row.sample}`)} | ${row.direction} | ${row.seconds === null ? `left out: about ${shortTime(row.tooLong ?? 0)}` : shortTime(row.seconds)} | ${row.seconds === null ? "" : percent(row.spread)} | ${rateOf(row)} | ${row.seconds === null ? "" : percent(row.share)} |`),
    "",
  ].join("\n");
}

/** For programs: seconds, operations and bytes, unrounded. */
export function jsonOf(report: BenchReport): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}
