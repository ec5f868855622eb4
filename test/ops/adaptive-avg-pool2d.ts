import { adaptiveAvgPool2d } from "../../src/autograd/ops/adaptive-avg-pool2d.ts";
import type { AdaptivePoolAttrs } from "../../src/kernels/pool2d.ts";
import { at, once, randomInteger, randomSize, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

function reference([x]: readonly Reference[], { output }: AdaptivePoolAttrs): readonly Reference[] {
  const [oh, ow] = typeof output === "number" ? [output, output] : output;
  const [n, c, h, w] = x.shape;
  return [
    referenceOf([n, c, oh, ow], ([image, channel, row, column]) => {
      let sum = 0;
      let count = 0;
      for (let y = Math.floor((row * h) / oh); y < Math.ceil(((row + 1) * h) / oh); y++) {
        for (let z = Math.floor((column * w) / ow); z < Math.ceil(((column + 1) * w) / ow); z++) {
          sum += at(x, image, channel, y, z);
          count++;
        }
      }
      return sum / count;
    }),
  ];
}

function sample(shape: readonly number[], output: AdaptivePoolAttrs["output"]): Sample<AdaptivePoolAttrs> {
  return { name: `${shape.join("×")} → ${JSON.stringify(output)}`, inputs: [{ shape }], attrs: { output } };
}

export const adaptiveAvgPool2dCase: OpCase<AdaptivePoolAttrs> = {
  name: "adaptiveAvgPool2d",
  apply: ([x], { output }) => [adaptiveAvgPool2d(x, output)],
  reference,
  tolerance: { forward: 2e-6, gradient: 1e-6, reason: "f32 sums of at most 63 values of both signs" },
  samples: [sample([2, 3, 7, 9], 1), sample([1, 2, 7, 5], [3, 2]), sample([1, 2, 4, 4], 4), sample([1, 1, 2, 3], [3, 5]), sample([2, 2, 6, 9], [3, 9]), sample([1, 2, 9, 8], [9, 3])],
  refused: [
    { name: "three axes", inputs: [{ shape: [3, 8, 8] }], attrs: { output: 1 }, message: /\[N,C,H,W\]/ },
    { name: "an output without rows", inputs: [{ shape: [1, 3, 8, 8] }], attrs: { output: [0, 1] }, message: /at least 1/ },
  ],
  fuzz: (random) => sample([randomInteger(random, 1, 3), randomInteger(random, 1, 4), randomSize(random, 13), randomSize(random, 13)], once(random, 3) ? randomInteger(random, 1, 4) : [randomSize(random, 9), randomSize(random, 9)]),
  bench: [sample([32, 128, 6, 6], 1), sample([8, 64, 28, 28], 7), sample([8, 64, 30, 30], 7)],
};
