import { maxPool2d } from "../../src/autograd/ops/max-pool2d.ts";
import type { MaxPool2dAttrs, Pool2dAttrs } from "../../src/kernels/pool2d.ts";
import type { Generator } from "../../src/core/rng.ts";
import { sizeOf } from "../../src/core/shape.ts";
import { pair, randomPair } from "./conv2d.ts";
import { at, distinctValues, once, randomInteger, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Calls `visit` for each pixel of the window of output (row, column) that lies on the input. */
export function overWindow(x: Reference, attrs: MaxPool2dAttrs, [n, c, row, column]: readonly number[], visit: (value: number) => void): void {
  const [kh, kw] = pair(attrs.kernel, 1);
  const [strideY, strideX] = pair(attrs.stride ?? attrs.kernel, 1);
  const [padY, padX] = pair(attrs.padding, 0);
  const [stepY, stepX] = pair(attrs.dilation, 1);
  for (let p = 0; p < kh; p++) {
    for (let q = 0; q < kw; q++) {
      const y = row * strideY + p * stepY - padY;
      const z = column * strideX + q * stepX - padX;
      if (y >= 0 && z >= 0 && y < x.shape[2] && z < x.shape[3]) visit(at(x, n, c, y, z));
    }
  }
}

/** With `ceilMode` every window counts that begins on the input, or before it. */
export function pooledShape(x: Reference, attrs: MaxPool2dAttrs): number[] {
  const [kernel, stride, padding, dilation] = [pair(attrs.kernel, 1), pair(attrs.stride ?? attrs.kernel, 1), pair(attrs.padding, 0), pair(attrs.dilation, 1)];
  const windows = [0, 1].map((axis) => {
    const [size, extent] = [x.shape[2 + axis], dilation[axis] * (kernel[axis] - 1) + 1];
    let count = 0;
    const fits = (begin: number): boolean => begin + extent <= size + 2 * padding[axis] || (attrs.ceilMode === true && begin < size + padding[axis] && begin - stride[axis] + extent < size + 2 * padding[axis]);
    while (fits(count * stride[axis])) count++;
    return count;
  });
  return [x.shape[0], x.shape[1], ...windows];
}

/** Random windows, and a size of picture over which they fit. */
export function randomPool(random: Generator, dilation: MaxPool2dAttrs["dilation"]): { shape: number[]; attrs: Pool2dAttrs & Pick<MaxPool2dAttrs, "dilation"> } {
  const kernel = randomPair(random, 1, 4);
  const padding = [0, 1].map((axis) => randomInteger(random, 0, Math.floor(pair(kernel, 1)[axis] / 2))) as unknown as readonly [number, number];
  const attrs = { kernel, padding, dilation, ...(once(random, 3) ? {} : { stride: randomPair(random, 1, 4) }), ceilMode: once(random, 2) };
  const size = [0, 1].map((axis) => Math.max(1, pair(dilation, 1)[axis] * (pair(kernel, 1)[axis] - 1) + 1) + random.integer(10));
  return { shape: [randomInteger(random, 1, 3), randomInteger(random, 1, 4), ...size], attrs };
}

function reference([x]: readonly Reference[], attrs: MaxPool2dAttrs): readonly Reference[] {
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
function sample(shape: readonly number[], attrs: MaxPool2dAttrs): Sample<MaxPool2dAttrs> {
  const values = Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(((i * 7919) % sizeOf(shape)) / sizeOf(shape) - 0.5));
  return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: [{ shape, values }], attrs };
}

function fuzz(random: Generator): Sample<MaxPool2dAttrs> {
  const { shape, attrs } = randomPool(random, once(random, 3) ? randomPair(random, 1, 3) : undefined);
  return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: [{ shape, values: distinctValues(random, shape) }], attrs };
}

export const maxPool2dCase: OpCase<MaxPool2dAttrs> = {
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
    sample([1, 2, 8, 7], { kernel: 3, stride: 2, ceilMode: true }),
    sample([1, 2, 9, 8], { kernel: [2, 3], stride: [1, 2], padding: 1, dilation: [3, 2] }),
    sample([1, 1, 5, 6], { kernel: 1, stride: 2, ceilMode: true }),
    sample([2, 1, 7, 7], { kernel: 2, stride: 2, padding: 1, dilation: 2, ceilMode: true }),
  ],
  refused: [
    { name: "three axes", inputs: [{ shape: [3, 8, 8] }], attrs: { kernel: 2 }, message: /\[N,C,H,W\]/ },
    { name: "padding over half the kernel", inputs: [{ shape: [1, 1, 8, 8] }], attrs: { kernel: 2, padding: 2 }, message: /half the kernel/ },
    { name: "a dilation of 0", inputs: [{ shape: [1, 1, 8, 8] }], attrs: { kernel: 2, dilation: 0 }, message: /kernel, stride and dilation must be at least 1/ },
    { name: "a dilated kernel larger than the input", inputs: [{ shape: [1, 1, 4, 4] }], attrs: { kernel: 2, dilation: 4 }, message: /at least as large as the kernel; got \[1,1,4,4\] and 5,5/ },
    { name: "a kernel larger than the input", inputs: [{ shape: [1, 1, 2, 2] }], attrs: { kernel: 3 }, message: /at least as large as the kernel/ },
  ],
  fuzz,
  bench: [{ name: "32×64×112×112 kernel 3", inputs: [{ shape: [32, 64, 112, 112] }], attrs: { kernel: 3, stride: 2, padding: 1 } }],
};

/** Equal values: only the first of a window gets the gradient; NaN wins. Compared forward only. */
export const maxPool2dNaNCase: OpCase<MaxPool2dAttrs> = {
  ...maxPool2dCase,
  name: "maxPool2d with NaN",
  differentiable: [],
  samples: [{ name: "1×1×2×4", inputs: [{ shape: [1, 1, 2, 4], values: [1, NaN, 2, 2, 3, 4, 2, 2] }], attrs: { kernel: 2 } }, { name: "-Inf", inputs: [{ shape: [1, 1, 2, 2], values: [-Infinity, -Infinity, -Infinity, -Infinity] }], attrs: { kernel: 2 } }],
  refused: [],
  fuzz: undefined,
};
