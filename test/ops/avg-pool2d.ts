import { avgPool2d } from "../../src/autograd/ops/avg-pool2d.ts";
import type { Pool2dAttrs } from "../../src/kernels/pool2d.ts";
import { overWindow, pooledShape } from "./max-pool2d.ts";
import { referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

function reference([x]: readonly Reference[], attrs: Pool2dAttrs): readonly Reference[] {
  const { kernel } = attrs;
  const size = typeof kernel === "number" ? kernel * kernel : kernel[0] * kernel[1];
  return [
    referenceOf(pooledShape(x, attrs), (index) => {
      let sum = 0;
      overWindow(x, attrs, index, (value) => (sum += value));
      return sum / size;
    }),
  ];
}

function sample(shape: readonly number[], attrs: Pool2dAttrs): Sample<Pool2dAttrs> {
  return { name: `${shape.join("×")} ${JSON.stringify(attrs)}`, inputs: [{ shape }], attrs };
}

export const avgPool2dCase: OpCase<Pool2dAttrs> = {
  name: "avgPool2d",
  apply: ([x], attrs) => [avgPool2d(x, attrs)],
  reference,
  tolerance: { forward: 1e-6, gradient: 1e-6, reason: "f32 sums of at most 20 values" },
  samples: [
    sample([2, 4, 12, 12], { kernel: 3, stride: 2 }),
    sample([1, 3, 7, 9], { kernel: 2 }),
    sample([1, 2, 5, 6], { kernel: [3, 2], stride: 1, padding: [1, 1] }),
    sample([1, 1, 7, 7], { kernel: 2, stride: 3 }),
  ],
  refused: [
    { name: "three axes", inputs: [{ shape: [3, 8, 8] }], attrs: { kernel: 2 }, message: /\[N,C,H,W\]/ },
    { name: "a stride of 0", inputs: [{ shape: [1, 1, 8, 8] }], attrs: { kernel: 2, stride: 0 }, message: /stride must be at least 1/ },
  ],
  bench: [sample([32, 64, 56, 56], { kernel: 2 })],
};
