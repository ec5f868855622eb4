import { convTranspose2d, type ConvTranspose2dOptions } from "../../src/autograd/ops/conv-transpose2d.ts";
import type { Generator } from "../../src/core/rng.ts";
import { pair, randomPair } from "./conv2d.ts";
import { once, randomInteger, referenceOf, type OpCase, type Reference, type Sample } from "./op-case.ts";

/** Every input pixel lays the weight, times its value, over the output. */
function reference([x, weight, bias]: readonly Reference[], options: ConvTranspose2dOptions): readonly Reference[] {
  const [n, inputs, h, w] = x.shape;
  const [, perGroup, kh, kw] = weight.shape;
  const { groups = 1 } = options;
  const [stride, padding, dilation, added] = [pair(options.stride, 1), pair(options.padding, 0), pair(options.dilation, 1), pair(options.outputPadding, 0)];
  const size = (axis: 0 | 1): number => ([h, w][axis] - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * ([kh, kw][axis] - 1) + added[axis] + 1;
  const [oh, ow] = [size(0), size(1)];
  const out = referenceOf([n, perGroup * groups, oh, ow], ([, o]) => bias?.data[o] ?? 0);
  referenceOf([n, inputs, h, w, perGroup, kh, kw], ([image, i, y, z, o, p, q]) => {
    const [row, column] = [y * stride[0] - padding[0] + p * dilation[0], z * stride[1] - padding[1] + q * dilation[1]];
    if (row < 0 || column < 0 || row >= oh || column >= ow) return 0;
    const channel = Math.floor(i / (inputs / groups)) * perGroup + o;
    const place = ((image * perGroup * groups + channel) * oh + row) * ow + column;
    return (out.data[place] += x.data[((image * inputs + i) * h + y) * w + z] * weight.data[((i * perGroup + o) * kh + p) * kw + q]);
  });
  return [out];
}

function sample(x: readonly number[], weight: readonly number[], attrs: ConvTranspose2dOptions = {}, bias = true): Sample<ConvTranspose2dOptions> {
  const inputs = [{ shape: x }, { shape: weight }, ...(bias ? [{ shape: [weight[1] * (attrs.groups ?? 1)] }] : [])];
  return { name: `${x.join("×")} with ${weight.join("×")} ${JSON.stringify(attrs)}${bias ? "" : " without bias"}`, inputs, attrs };
}

function fuzz(random: Generator): Sample<ConvTranspose2dOptions> {
  const groups = random.pick([1, 1, 2, 3]);
  const kernel = [randomInteger(random, 1, 4), randomInteger(random, 1, 4)];
  const [stride, dilation] = [randomPair(random, 1, 3), randomPair(random, 1, 2)];
  const most = (axis: 0 | 1): number => pair(stride, 1)[axis] - 1;
  const outputPadding = [randomInteger(random, 0, most(0)), randomInteger(random, 0, most(1))] as const;
  // At least one pixel must be left after the padding is taken off.
  const reach = [0, 1].map((axis) => pair(dilation, 1)[axis] * (kernel[axis] - 1) + outputPadding[axis]);
  const padding = reach.map((n) => randomInteger(random, 0, Math.min(2, Math.floor(n / 2)))) as unknown as readonly [number, number];
  const attrs = { stride, padding, dilation, outputPadding, groups };
  const channels = groups * randomInteger(random, 1, 4);
  return sample([randomInteger(random, 1, 2), channels, randomInteger(random, 1, 6), randomInteger(random, 1, 6)], [channels, randomInteger(random, 1, 4), ...kernel], attrs, once(random, 2));
}

export const convTranspose2dCase: OpCase<ConvTranspose2dOptions> = {
  name: "convTranspose2d",
  apply: ([x, weight, bias], attrs) => [convTranspose2d(x, weight, bias, attrs)],
  reference,
  tolerance: { forward: 2e-6, gradient: 5e-6, reason: "f32 sums of up to a few hundred products" },
  samples: [
    sample([1, 3, 4, 4], [3, 5, 3, 3]),
    sample([2, 4, 5, 3], [4, 2, 4, 4], { stride: 2, padding: 1 }, false),
    sample([1, 2, 3, 4], [2, 3, 3, 2], { stride: [2, 3], padding: [1, 0], outputPadding: [1, 2] }),
    sample([1, 4, 5, 5], [4, 1, 3, 3], { groups: 2, dilation: 2, padding: 1 }),
  ],
  refused: [
    { name: "an image without batch", inputs: [{ shape: [3, 4, 4] }, { shape: [3, 2, 3, 3] }], attrs: {}, message: /convTranspose2d: input and weight must be \[N,I,H,W\] and \[I,O\/groups,KH,KW\]; got \[3,4,4\]/ },
    { ...sample([1, 1, 3, 3], [1, 1, 3, 3], { outputPadding: 1 }), name: "an output padding of the stride", message: /the output padding must lie in 0\.\.stride−1 for stride 1,1; got 1,1/ },
    { ...sample([1, 2, 3, 3], [3, 1, 3, 3]), name: "channels that do not fit", message: /the gradient must be/ },
  ],
  fuzz,
  bench: [sample([8, 64, 28, 28], [64, 32, 4, 4], { stride: 2, padding: 1 }, false)],
};
