import { conv2d, type Conv2dOptions } from "../../src/autograd/ops/conv2d.ts";
import type { Generator } from "../../src/core/rng.ts";
import { once, randomInteger, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Height and width of an attribute that may be one number, or left out. */
export function pair(value: number | readonly [number, number] | undefined, otherwise: number): readonly [number, number] {
  if (value === undefined) return [otherwise, otherwise];
  return typeof value === "number" ? [value, value] : value;
}

function reference([x, weight, bias]: readonly Reference[], options: Conv2dOptions): readonly Reference[] {
  const [n, , h, w] = x.shape;
  const [outputs, inputs, kh, kw] = weight.shape;
  const [strideY, strideX] = pair(options.stride, 1);
  const [padY, padX] = pair(options.padding, 0);
  const [stepY, stepX] = pair(options.dilation, 1);
  const groups = options.groups ?? 1;
  const oh = Math.floor((h + 2 * padY - stepY * (kh - 1) - 1) / strideY) + 1;
  const ow = Math.floor((w + 2 * padX - stepX * (kw - 1) - 1) / strideX) + 1;
  const data = new Float64Array(n * outputs * oh * ow);
  let at = 0;
  for (let image = 0; image < n; image++) {
    for (let o = 0; o < outputs; o++) {
      const first = Math.floor(o / (outputs / groups)) * inputs;
      for (let row = 0; row < oh; row++) {
        for (let column = 0; column < ow; column++) {
          let sum = bias === undefined ? 0 : bias.data[o];
          for (let i = 0; i < inputs; i++) {
            for (let p = 0; p < kh; p++) {
              for (let q = 0; q < kw; q++) {
                const y = row * strideY + p * stepY - padY;
                const z = column * strideX + q * stepX - padX;
                if (y < 0 || z < 0 || y >= h || z >= w) continue;
                sum += x.data[((image * inputs * groups + first + i) * h + y) * w + z] * weight.data[((o * inputs + i) * kh + p) * kw + q];
              }
            }
          }
          data[at++] = sum;
        }
      }
    }
  }
  return [{ shape: [n, outputs, oh, ow], data }];
}

function sample(x: readonly number[], weight: readonly number[], attrs: Conv2dOptions = {}, bias = true): Sample<Conv2dOptions> {
  const inputs = [{ shape: x }, { shape: weight }, ...(bias ? [{ shape: [weight[0]] }] : [])];
  return { name: `${x.join("×")} with ${weight.join("×")} ${JSON.stringify(attrs)}${bias ? "" : " without bias"}`, inputs, attrs };
}

/** One number for both axes, or one each. */
export function randomPair(random: Generator, low: number, high: number): number | [number, number] {
  return once(random, 2) ? randomInteger(random, low, high) : [randomInteger(random, low, high), randomInteger(random, low, high)];
}

function fuzz(random: Generator): Sample<Conv2dOptions> {
  const groups = random.pick([1, 1, 1, 2, 3, 4]);
  const [inputs, outputs] = [randomInteger(random, 1, groups === 1 ? 9 : 3), groups * randomInteger(random, 1, groups === 1 ? 9 : 3)];
  const kernel = [randomInteger(random, 1, 4), randomInteger(random, 1, 4)];
  const options = { stride: randomPair(random, 1, 3), padding: randomPair(random, 0, 3), dilation: randomPair(random, 1, 3), groups };
  const size = [0, 1].map((axis) => {
    const least = pair(options.dilation, 1)[axis] * (kernel[axis] - 1) + 1 - 2 * pair(options.padding, 0)[axis];
    return Math.max(1, least) + random.integer(10);
  });
  return sample([randomInteger(random, 1, 3), inputs * groups, ...size], [outputs, inputs, ...kernel], options, once(random, 2));
}

export const conv2dCase: OpCase<Conv2dOptions> = {
  name: "conv2d",
  apply: ([x, weight, bias], attrs) => [conv2d(x, weight, bias, attrs)],
  reference,
  tolerance: { forward: 2e-6, gradient: 5e-6, reason: "f32 sums of up to a few hundred products" },
  samples: [
    sample([2, 3, 8, 8], [8, 3, 3, 3], { padding: 1 }),
    sample([1, 3, 17, 15], [5, 3, 7, 7], { stride: 2, padding: 3 }),
    sample([2, 8, 5, 5], [12, 8, 1, 1], {}, false),
    sample([2, 8, 6, 6], [6, 8, 1, 1], { stride: 2 }),
    sample([1, 8, 7, 6], [16, 8, 3, 3], { stride: 2, padding: 1 }),
    sample([1, 4, 9, 9], [4, 4, 3, 3], { padding: 2, dilation: 2 }),
    sample([2, 8, 4, 4], [8, 2, 3, 3], { padding: 1, groups: 4 }),
    sample([2, 6, 5, 5], [6, 1, 3, 3], { padding: 1, groups: 6 }, false),
    sample([3, 4, 7, 9], [6, 4, 3, 2], { stride: [2, 3], padding: [1, 2], dilation: [2, 1] }),
    sample([2, 3, 9, 9], [5, 3, 3, 3], { stride: 3, dilation: 3, padding: 2 }),
    sample([1, 2, 3, 3], [2, 2, 3, 3], { padding: 4 }),
    sample([5, 2, 16, 16], [3, 2, 2, 2], {}, false),
  ],
  refused: [
    { name: "an image without batch", inputs: [{ shape: [3, 8, 8] }, { shape: [4, 3, 3, 3] }], attrs: {}, message: /four axes/ },
    { name: "channels that do not fit", inputs: [{ shape: [1, 4, 8, 8] }, { shape: [4, 3, 3, 3] }], attrs: {}, message: /channels must be groups/ },
    { name: "groups that do not divide the output", inputs: [{ shape: [1, 4, 8, 8] }, { shape: [3, 2, 3, 3] }], attrs: { groups: 2 }, message: /divide into 2 groups/ },
    { name: "an output without pixels", inputs: [{ shape: [1, 1, 2, 2] }, { shape: [1, 1, 3, 3] }], attrs: {}, message: /at least as large as the dilated kernel/ },
    { name: "a stride of 0", inputs: [{ shape: [1, 1, 4, 4] }, { shape: [1, 1, 3, 3] }], attrs: { stride: 0 }, message: /stride and dilation must be at least 1/ },
    { name: "a bias of another size", inputs: [{ shape: [1, 1, 4, 4] }, { shape: [2, 1, 3, 3] }, { shape: [1] }], attrs: {}, message: /bias must be \[2\]/ },
  ],
  fuzz,
  bench: [
    sample([32, 3, 48, 48], [16, 3, 3, 3], { padding: 1 }, false),
    sample([32, 16, 48, 48], [16, 16, 3, 3], { padding: 1 }, false),
    sample([32, 16, 48, 48], [32, 16, 3, 3], { padding: 1, stride: 2 }, false),
    sample([32, 32, 24, 24], [32, 32, 3, 3], { padding: 1 }, false),
    sample([32, 32, 24, 24], [64, 32, 1, 1], { stride: 2 }, false),
    sample([32, 64, 12, 12], [64, 64, 3, 3], { padding: 1 }, false),
    sample([32, 128, 6, 6], [128, 128, 3, 3], { padding: 1 }, false),
  ],
};
