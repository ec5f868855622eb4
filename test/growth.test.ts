import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { MemoryReport } from "../src/device/buffers.ts";
import { openModule } from "./browser.ts";

declare const exported: typeof import("./pages/growth.ts");
declare const rested: (memory: MemoryReport) => Promise<void>;

const WEIGHTS = "weights/cross-scenes.safetensors";
const PICTURES = [20, 220]; // pictures after which memory is measured
const STEPS = [50, 550]; // training steps after which it is
const GROWTH = 1.05;

/** What lives at one rest. */
interface Lived extends MemoryReport {
  /** Bytes of the JavaScript heap after a collection. */
  readonly heap: number;
}

function expectNoGrowth(what: string, [before, after]: readonly Lived[]): void {
  console.log(`${what}: ${after.liveBuffers} buffers as before, heap ${before.heap} → ${after.heap} bytes`);
  expect(after.liveBuffers).toBe(before.liveBuffers);
  expect(after.liveBytes).toBe(before.liveBytes);
  expect(after.heap / before.heap).toBeLessThanOrEqual(GROWTH);
}

test("200 pictures captioned in a row and 500 training steps leave memory as it is", async () => {
  const { page, problems, close } = await openModule("growth.ts", { "/weights": { type: "application/octet-stream", body: readFileSync(WEIGHTS) } });
  try {
    const inspector = await page.createCDPSession();
    let lived: Lived[] = [];
    await page.exposeFunction("rested", async (memory: MemoryReport) => {
      await inspector.send("HeapProfiler.collectGarbage");
      const { usedSize } = await inspector.send("Runtime.getHeapUsage");
      lived.push({ ...memory, heap: usedSize });
    });
    await page.evaluate(async (pictures) => exported.captionMany(new Uint8Array(await (await fetch("/weights")).arrayBuffer()), pictures, rested), PICTURES);
    expectNoGrowth("captioning", lived);
    lived = [];
    await page.evaluate((steps) => exported.trainMany(steps, rested), STEPS);
    expectNoGrowth("training", lived);
    expect(problems).toEqual([]);
  } finally {
    await close();
  }
}, 600_000);
