import { Tensor, tensor } from "../src/autograd/tensor.ts";
import { typedArray, type TypedArray } from "../src/core/dtype.ts";
import { sizeOf } from "../src/core/shape.ts";
import type { Command } from "../src/device/commands.ts";
import type { Device } from "../src/device/device.ts";
import type { Recording } from "../src/device/recording.ts";
import type { Cost } from "../src/kernels/kernel.ts";
import { valuesOf, type Input } from "../test/ops/op-case.ts";
import type { BenchCase } from "./cases.ts";
import { measureCommands, type Summary, type TooLong } from "./measure.ts";
import { idealSeconds, type Rates } from "./peak.ts";

/** Random values that are drawn for an input; they repeat after that. */
const DRAWN = 65_536;

/** Times the budget of a measurement that a single run may take. */
const PATIENCE = 2;

export type Direction = "forward" | "backward";

/** What one direction of an op took at a shape. */
export interface KernelTime {
  readonly op: string;
  readonly sample: string;
  readonly direction: Direction;
  /** Kernels that it runs, with how often. */
  readonly kernels: Readonly<Record<string, number>>;
  readonly cost: Cost;
  readonly time: Summary | TooLong;
}

/** The sum of the costs of all commands. */
export function totalCost(commands: readonly Command[]): Cost {
  return commands.reduce((sum, { cost }) => ({ flops: sum.flops + cost.flops, bytes: sum.bytes + cost.bytes }), { flops: 0, bytes: 0 });
}

/** How often each kernel stands among commands. */
export function countKernels(commands: readonly Command[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { name } of commands) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Measures an op forward and, where it has gradients, backward; `budget` in seconds for each. */
export async function measureCase(device: Device, benchCase: BenchCase, peak: Rates, budget: number): Promise<KernelTime[]> {
  const { op, sample } = benchCase;
  using _scope = device.scope();
  const { recording, forward, kept } = trace(device, benchCase);
  try {
    const patience = PATIENCE * budget;
    const ideal = idealSeconds(totalCost(recording.list), peak);
    if (ideal > patience) {
      return [{ op, sample, direction: "forward", kernels: countKernels(forward), cost: totalCost(forward), time: { tooLong: ideal } }];
    }
    await recording.finish(kept);
    recording.replay();
    await device.idle();
    const own = new Set(forward);
    const directions: [Direction, readonly Command[]][] = [
      ["forward", forward],
      ["backward", recording.list.filter((command) => !own.has(command))],
    ];
    const times: KernelTime[] = [];
    for (const [direction, commands] of directions) {
      if (commands.length === 0) continue;
      const time = await measureCommands(device, commands, budget, patience);
      times.push({ op, sample, direction, kernels: countKernels(commands), cost: totalCost(commands), time });
    }
    return times;
  } finally {
    recording.dispose();
    for (const buffer of device.scratch.splice(0)) device.buffers.release(buffer);
    device.buffers.trim();
  }
}

/**
 * Records an op and its gradient. What the forward commands touch is kept whole, so that the backward ones find it
 * however often they run: memory that both used would hold no valid indices any more.
 */
function trace(device: Device, { op, opCase, inputs, attrs }: BenchCase): { recording: Recording; forward: readonly Command[]; kept: Command["storages"] } {
  const differentiable = opCase.differentiable ?? inputs.flatMap(({ dtype = "f32" }, i) => (dtype === "f32" ? [i] : []));
  const tensors = inputs.map((input, i) => {
    const { shape, dtype = "f32" } = input;
    return new Tensor(device, shape, dtype, device.allocateConstant(benchValues(input, i), `input ${i}`), differentiable.includes(i));
  });
  const { recording, result } = device.record(op, (open) => {
    const outputs = opCase.apply(tensors, attrs);
    const forward = [...open.list];
    outputs.forEach((output, o) => {
      if (output.node === null || opCase.constantOutputs?.includes(o)) return;
      output.backward(tensor(device, benchValues(output, inputs.length + o), output.shape));
    });
    return { outputs, forward };
  });
  const gradients = tensors.flatMap(({ grad }) => (grad === null ? [] : [grad.storage]));
  const kept = [...result.outputs.map(({ storage }) => storage), ...gradients, ...result.forward.flatMap(({ storages }) => storages)];
  return { recording, forward: result.forward, kept };
}

/** The values of an input; long ones repeat, since drawing millions would take longer than the kernel. */
function benchValues(input: Input, seed: number): TypedArray {
  const { shape, dtype = "f32" } = input;
  const size = sizeOf(shape);
  if (input.values !== undefined || size <= DRAWN) return typedArray(dtype, [...valuesOf(input, seed)]);
  const drawn = valuesOf({ ...input, shape: [DRAWN] }, seed);
  const values = typedArray(dtype, size);
  for (let first = 0; first < size; first += DRAWN) values.set(drawn.subarray(0, Math.min(DRAWN, size - first)), first);
  return values;
}
