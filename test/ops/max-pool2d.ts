import { maxPool2d } from "../../src/autograd/ops/max-pool2d.ts";
import type { Pool2dAttrs } from "../../src/kernels/pool2d.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { at, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Calls `visit` for each pixel of the window of output (row, column) that lies on the input. */
export function overWindow(x: Reference, attrs: Pool2dAttrs, [n, c, row, column]: readonly number[], visit: (value: number) => void): void {
  const [kh, kw] = pair(attrs.kernel);
  const [strideY, strideX] = pair(attrs.stride ?? attrs.kernel);
  const [padY, padX] = pair(attrs.padding ?? 0);
  for (let p = 0; p < kh; p++) {
    for (let q = 0; q < kw; q++) {
      const y = row * strideY + p - padY;
      const z = column * strideX + q - padX;
      if (y >= 0 && z >= 0 && y < x.shape[2] && z < x.shape[3]) visit(at(x, n, c, y, z));
    }
  }
}

export function pooledShape(x: Reference, attrs: Pool2dAttrs): number[] {
  const [kernel, stride, padding] = [pair(attrs.kernel), pair(attrs.stride ?? attrs.kernel), pair(attrs.padding ?? 0)];
  return [x.shape[0], x.shape[1], ...[0, 1].map((axis) => Math.floor((x.shape[2 + axis] + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1)];
}

function pair(value: number | readonly [number, number]): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}

function reference([x]: readonly Reference[], attrs: Pool2dAttrs): readonly Reference[] {
  return [
    referenceOf(pooledShape(x, attrs), (index) => {
      let most = -Infinity;
      overWindow(x, attrs, index, (value) => {
        if (value > most || Number.isNaN(value)) most = value;
      });
      return most;
    }),
  ];
}

/** All values are different, by more than a finite difference moves them. */
function distinctValues(shape: readonly number[]): number[] {
  const size = sizeOf(shape);
  return Array.from({ length: size }, (_, i) => Math.fround(((i * 7919) % size) / size - 0.5));
}

function sample(shape: readonly number[], attrs: Pool2dAttrs): Sample<Pool2dAttrs> {
  return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: [{ shape, values: distinctValues(shape) }], attrs };
}

export const maxPool2dCase: OpCase<Pool2dAttrs> = {
  name: "maxPool2d",
  apply: ([x], attrs) => [maxPool2d(x, attrs)],
  reference,
  tolerance: { forward: 0, gradient: 1e-6, reason: "a value is chosen, not computed; a gradient adds up at most nine numbers" },
  samples: [
    sample([2, 4, 12, 12], { kernel: 3, stride: 2, padding: 1 }),
    sample([1, 3, 7, 9], { kernel: 2 }),
    sample([1, 2, 5, 6], { kernel: [3, 2], stride: 1, padding: [1, 0] }),
    sample([1, 1, 7, 7], { kernel: 2, stride: 3 }),
    sample([3, 1, 4, 4], { kernel: 4 }),
  ],
  refused: [
    { name: "three axes", inputs: [{ shape: [3, 8, 8] }], attrs: { kernel: 2 }, message: /\[N,C,H,W\]/ },
    { name: "padding over half the kernel", inputs: [{ shape: [1, 1, 8, 8] }], attrs: { kernel: 2, padding: 2 }, message: /half the kernel/ },
    { name: "a kernel larger than the input", inputs: [{ shape: [1, 1, 2, 2] }], attrs: { kernel: 3 }, message: /at least as large as the kernel/ },
  ],
  bench: [sample([32, 64, 112, 112], { kernel: 3, stride: 2, padding: 1 })],
};

/** Equal values: only the first of a window gets the gradient; NaN wins. Compared forward only. */
export const maxPool2dNaNCase: OpCase<Pool2dAttrs> = {
  ...maxPool2dCase,
  name: "maxPool2d with NaN",
  differentiable: [],
  samples: [{ name: "1×1×2×4", inputs: [{ shape: [1, 1, 2, 4], values: [1, NaN, 2, 2, 3, 4, 2, 2] }], attrs: { kernel: 2 } }],
  refused: [],
};
