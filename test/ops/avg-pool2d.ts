import { avgPool2d } from "../../src/autograd/ops/avg-pool2d.ts";
import type { AvgPool2dAttrs } from "../../src/kernels/pool2d.ts";
import { pair } from "./conv2d.ts";
import { overWindow, pooledShape, randomPool } from "./max-pool2d.ts";
import { once, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

function reference([x]: readonly Reference[], attrs: AvgPool2dAttrs): readonly Reference[] {
  const [kernel, stride, padding] = [pair(attrs.kernel, 1), pair(attrs.stride ?? attrs.kernel, 1), pair(attrs.padding, 0)];
  return [
    referenceOf(pooledShape(x, attrs), (index) => {
      let sum = 0;
      let seen = 0;
      overWindow(x, attrs, index, (value) => {
        sum += value;
        seen++;
      });
      // Places beyond the padding, where the last window may reach to, never count.
      const reach = (axis: 0 | 1): number => Math.min(kernel[axis], x.shape[2 + axis] + 2 * padding[axis] - index[2 + axis] * stride[axis]);
      return sum / (attrs.countIncludePad === false ? seen : reach(0) * reach(1));
    }),
  ];
}

function sample(shape: readonly number[], attrs: AvgPool2dAttrs): Sample<AvgPool2dAttrs> {
  return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: [{ shape }], attrs };
}

export const avgPool2dCase: OpCase<AvgPool2dAttrs> = {
  name: "avgPool2d",
  apply: ([x], attrs) => [avgPool2d(x, attrs)],
  reference,
  tolerance: { forward: 1e-6, gradient: 1e-6, reason: "f32 sums of at most 20 values" },
  samples: [
    sample([2, 4, 12, 12], { kernel: 3, stride: 2 }),
    sample([1, 3, 7, 9], { kernel: 2 }),
    sample([1, 2, 5, 6], { kernel: [3, 2], stride: 1, padding: [1, 1] }),
    sample([1, 1, 7, 7], { kernel: 2, stride: 3 }),
    sample([1, 2, 8, 7], { kernel: 3, stride: 2, ceilMode: true }),
    sample([1, 2, 6, 7], { kernel: [3, 4], stride: 2, padding: [1, 2], countIncludePad: false }),
    sample([2, 1, 5, 8], { kernel: 3, stride: 3, padding: 1, ceilMode: true }),
    sample([2, 1, 5, 8], { kernel: 3, stride: 3, padding: 1, ceilMode: true, countIncludePad: false }),
  ],
  refused: [
    { name: "three axes", inputs: [{ shape: [3, 8, 8] }], attrs: { kernel: 2 }, message: /\[N,C,H,W\]/ },
    { name: "a stride of 0", inputs: [{ shape: [1, 1, 8, 8] }], attrs: { kernel: 2, stride: 0 }, message: /kernel, stride and dilation must be at least 1/ },
  ],
  fuzz: (random) => {
    const { shape, attrs } = randomPool(random, undefined);
    return sample(shape, { ...attrs, countIncludePad: once(random, 2) });
  },
  bench: [sample([32, 64, 56, 56], { kernel: 2 })],
};
