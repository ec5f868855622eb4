/** The worker that measures: the same cases and clocks as `npm run bench`. */

import { benchCases } from "../../bench/cases.ts";
import { measureCase, type KernelTime } from "../../bench/kernels.ts";
import { spreadOf } from "../../bench/measure.ts";
import { idealSeconds, measurePeak, type Rates } from "../../bench/peak.ts";
import { requestDevice, type Device } from "../device/device.ts";
import { offer } from "../web/remote.ts";
import { casesOf, groupOf } from "./bench/selection.ts";
import type { BenchEvent, BenchRow, BenchService, Scope } from "./bench/service.ts";

/** Seconds for one direction of a kernel, and for each of the two peaks. */
const BUDGET: Readonly<Record<Scope, number>> = { quick: 0.2, all: 0.3 };

const service: BenchService = {
  async run(scope, onEvent) {
    const device = await requestDevice();
    try {
      await measureAll(device, scope, onEvent);
    } finally {
      await device.close();
    }
  },
};

async function measureAll(device: Device, scope: Scope, onEvent: (event: BenchEvent) => void): Promise<void> {
  const lists = casesOf(scope, benchCases());
  const total = lists.length + 1;
  const budget = BUDGET[scope];
  onEvent({ kind: "measuring", what: "what this device can do at best", done: 0, total });
  const peak = await measurePeak(device, budget);
  onEvent({ kind: "peak", peak });
  for (const [i, cases] of lists.entries()) {
    for (const each of cases) {
      onEvent({ kind: "measuring", what: `${each.op} ${each.sample}`, done: i + 1, total });
      const times = await measureCase(device, each, peak, budget);
      const isQuickEnough = times.every(({ time }) => "median" in time);
      if (!isQuickEnough && each !== cases.at(-1)) continue;
      for (const time of times) onEvent({ kind: "row", row: rowOf(time, peak) });
      break;
    }
  }
}

function rowOf({ op, sample, direction, kernels, cost, time }: KernelTime, peak: Rates): BenchRow {
  const measured = "median" in time ? time : null;
  return {
    group: groupOf(op),
    op,
    sample,
    direction,
    kernels: Object.values(kernels).reduce((sum, count) => sum + count, 0),
    flops: cost.flops,
    bytes: cost.bytes,
    seconds: measured?.median ?? null,
    tooLong: "median" in time ? null : time.tooLong,
    spread: measured === null ? 0 : spreadOf(measured),
    bound: cost.flops / peak.flops > cost.bytes / peak.bandwidth ? "arithmetic" : "memory",
    share: measured === null ? 0 : idealSeconds(cost, peak) / measured.median,
  };
}

offer(service);
