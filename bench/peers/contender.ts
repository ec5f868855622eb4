import { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import type { Cost } from "../../src/kernels/kernel.ts";

/** Something that several libraries can compute. Shapes and padding are ours: N C H W, weights [O, C, K, K]. */
export type Workload =
  | { readonly kind: "matmul"; readonly a: Shape; readonly b: Shape }
  | { readonly kind: "conv2d"; readonly x: Shape; readonly weight: Shape; readonly stride: number; readonly padding: number }
  | { readonly kind: "softmax"; readonly x: Shape }
  | { readonly kind: "layerNorm"; readonly x: Shape };

/** A workload that is ready to be run. */
export interface Prepared {
  /** Runs it so many times and waits for the last one; nothing is read back but what waiting needs. */
  run(times: number): Promise<void>;
  /** All values of the result, in any order: contenders that compute something else are found out. */
  values(): Promise<ArrayLike<number>>;
  dispose(): void;
}

/** A library that takes part. */
export interface Contender {
  readonly name: string;
  readonly version: string;
  /** Null where the library lacks the op. */
  prepare(workload: Workload): Promise<Prepared | null>;
}

/** The size of conv2d's output along height or width. */
export function convolved(size: number, kernel: number, stride: number, padding: number): number {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

/** Shapes of the inputs, in the order in which each contender takes them. */
export function inputShapes(workload: Workload): Shape[] {
  switch (workload.kind) {
    case "matmul":
      return [workload.a, workload.b];
    case "conv2d":
      return [workload.x, workload.weight];
    case "softmax":
      return [workload.x];
    case "layerNorm":
      return [workload.x, workload.x.slice(-1), workload.x.slice(-1)];
    default:
      return workload satisfies never;
  }
}

/** The same random inputs for each contender. */
export function inputValues(workload: Workload): Float32Array[] {
  return inputShapes(workload).map((shape, i) => {
    const generator = new Generator(i, 5);
    return Float32Array.from({ length: sizeOf(shape) }, () => 2 * generator.uniform() - 1);
  });
}

export function describeWorkload(workload: Workload): string {
  switch (workload.kind) {
    case "matmul":
      return `matmul ${workload.a.join("×")} · ${workload.b.join("×")}`;
    case "conv2d":
      return `conv2d ${workload.x.join("×")} with ${workload.weight.join("×")}${workload.stride === 1 ? "" : ` stride ${workload.stride}`}`;
    case "softmax":
    case "layerNorm":
      return `${workload.kind} ${workload.x.join("×")}`;
    default:
      return workload satisfies never;
  }
}

/** Work of one run, each tensor's bytes counted once; the same for every contender. */
export function workOf(workload: Workload): Cost {
  const read = inputShapes(workload).reduce((sum, shape) => sum + sizeOf(shape), 0);
  const { flops, written } = outputOf(workload);
  return { flops, bytes: 4 * (read + written) };
}

function outputOf(workload: Workload): { flops: number; written: number } {
  switch (workload.kind) {
    case "matmul": {
      const written = (sizeOf(workload.a) / workload.a.at(-1)!) * workload.b.at(-1)!;
      return { flops: 2 * written * workload.a.at(-1)!, written };
    }
    case "conv2d": {
      const { x, weight, stride, padding } = workload;
      const written = x[0] * weight[0] * convolved(x[2], weight[2], stride, padding) * convolved(x[3], weight[3], stride, padding);
      return { flops: 2 * written * sizeOf(weight.slice(1)), written };
    }
    case "softmax":
      return { flops: 5 * sizeOf(workload.x), written: sizeOf(workload.x) };
    case "layerNorm":
      return { flops: 9 * sizeOf(workload.x), written: sizeOf(workload.x) };
    default:
      return workload satisfies never;
  }
}
