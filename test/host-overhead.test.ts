import { expect, test } from "vitest";
import { defaultStep } from "../bench/default-step.ts";
import { measureHost } from "../bench/host.ts";
import { WANTED_HOST_RATIO } from "../bench/report.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "null" });

test("a replayed training step costs the host at most twice what the bare WebGPU calls cost", async () => {
  using step = await defaultStep(device());
  const { dispatches, replay, bare, ratio } = await measureHost(device(), step);
  const microseconds = (seconds: number): string => `${(seconds * 1e6).toFixed(2)} µs`;
  expect(dispatches, "dispatches a step: a few hundred, so that the step's own cost does not count").toBeGreaterThan(100);
  expect(ratio, `replayed ${microseconds(replay.median)} a dispatch, bare ${microseconds(bare.median)}`).toBeLessThanOrEqual(WANTED_HOST_RATIO);
});
