/** What the worker that measures does for the page. */

import type { Direction } from "../../../bench/kernels.ts";
import type { Rates } from "../../../bench/peak.ts";

export type Scope = "quick" | "all";

/** One direction of an op at a shape. */
export interface BenchRow {
  readonly group: string;
  readonly op: string;
  readonly sample: string;
  readonly direction: Direction;
  /** Kernels that it runs. */
  readonly kernels: number;
  readonly flops: number;
  readonly bytes: number;
  /** Seconds of one run, the median; what was left out because it takes too long has none, and then about so many. */
  readonly seconds: number | null;
  readonly tooLong: number | null;
  /** Quartiles' distance as a share of the median. */
  readonly spread: number;
  /** What limits it on this device, by the measured peaks. */
  readonly bound: "arithmetic" | "memory";
  /** The least time that the measured peaks allow, as a share of the time. */
  readonly share: number;
}

/** What is said along the way. */
export type BenchEvent =
  | { readonly kind: "measuring"; readonly what: string; readonly done: number; readonly total: number }
  | { readonly kind: "peak"; readonly peak: Rates }
  | { readonly kind: "row"; readonly row: BenchRow };

export interface BenchService {
  /** Measures the device's peaks, then one kernel after the other. @throws DeviceError if there is no device, or it is lost. */
  run(scope: Scope, onEvent: (event: BenchEvent) => void): Promise<void>;
}
