import type { Device } from "../src/device/device.ts";
import type { DefaultStep } from "./default-step.ts";
import { bind, summarize, type Summary } from "./measure.ts";

/** Rounds of measuring; those before them let the JavaScript engine compile what it runs often. */
const ROUNDS = 60;
const WARM_UP = 20;

/** What it costs to send a step to the device, from JavaScript to submit, in seconds a dispatch. */
export interface HostOverhead {
  readonly dispatches: number;
  /** A replayed step, its inputs and counters written. */
  readonly replay: Summary;
  /** The same dispatches by `setPipeline`, `setBindGroup` and `dispatchWorkgroups` alone. */
  readonly bare: Summary;
  /** How many times the bare cost the replay costs. */
  readonly ratio: number;
}

/** Measures both in turns, so that what else the machine does slows both alike. The null adapter runs nothing. */
export async function measureHost(device: Device, { step, batch }: Pick<DefaultStep, "step" | "batch">): Promise<HostOverhead> {
  await step.run(batch, 0);
  const { list } = step.recording!;
  const commands = await bind(device, list);
  const { gpu } = device;

  const replay = (): Promise<unknown> => step.run(batch, 0);
  const bare = async (): Promise<void> => {
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, bindGroup, x, y, z } of commands) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(x, y, z);
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  };
  const contenders = [
    { action: replay, samples: [] as number[] },
    { action: bare, samples: [] as number[] },
  ];
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const { action, samples } of round % 2 === 0 ? contenders : contenders.toReversed()) {
      await device.idle();
      const begun = performance.now();
      const running = action(); // everything up to the submission happens before it first waits
      const seconds = (performance.now() - begun) / 1000;
      await running;
      if (round >= 0) samples.push(seconds / list.length);
    }
  }
  const [replayed, plain] = contenders.map(({ samples }) => summarize(samples));
  return { dispatches: list.length, replay: replayed, bare: plain, ratio: replayed.median / plain.median };
}
