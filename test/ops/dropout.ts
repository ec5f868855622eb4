import { dropout } from "../../src/autograd/ops/dropout.ts";
import { DeviceGenerator } from "../../src/autograd/random.ts";
import { threefry } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { randomInteger, randomShape, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly p: number;
  readonly seed: number;
  readonly stream: number;
  /** The draw: 0 for a generator's first. */
  readonly counter: number;
}

/** Whether an element is kept, by the host's generator. */
export function isKept(i: number, { p, seed, stream, counter }: Attrs): boolean {
  const pair = threefry(seed, stream, i >>> 1, counter);
  return (pair[i % 2] >>> 8) / 2 ** 24 >= p;
}

function sample(shape: Shape, p: number, seed = 1, stream = 0, counter = 0): Sample<Attrs> {
  return { name: `[${shape}], p ${p}, seed ${seed}, stream ${stream}, draw ${counter}`, inputs: [{ shape, low: 0.5, high: 1 }], attrs: { p, seed, stream, counter } };
}

export const dropoutCase: OpCase<Attrs> = {
  name: "dropout",
  apply: ([x], { p, seed, stream, counter }) => {
    const generator = new DeviceGenerator(x.device, seed, stream);
    generator.state = { seed, stream, counter };
    return [dropout(x, p, generator)];
  },
  reference: ([x], attrs) => [{ shape: x.shape, data: x.data.map((value, i) => (isKept(i, attrs) ? value / (1 - attrs.p) : 0)) }],
  tolerance: { forward: 2e-7, gradient: 2e-7, reason: "the scale and one product are rounded to f32; a mask that differs in one element is off by far more" },
  samples: [
    sample([64, 33], 0.5),
    sample([7, 13], 0.1, 0xdeadbeef, 0xffffffff, 12_345),
    sample([4, 25], 0.9, 7, 3, 1),
    sample([1], 0.5, 2),
    sample([16, 16], 1e-8),
  ],
  refused: [
    { ...sample([3], 1), name: "p = 1", message: /dropout: p must be in 0 ≤ p < 1; got 1/ },
    { ...sample([3], -0.1), name: "a negative p", message: /got -0\.1/ },
    { ...sample([3], NaN), name: "NaN", message: /got NaN/ },
  ],
  fuzz: (random) => sample(randomShape(random, randomInteger(random, 0, 3)), random.pick([1e-3, 0.1, 0.5, 0.9]), random.nextU32(), random.nextU32(), random.nextU32()),
  bench: [sample([8, 64, 768], 0.1)],
};
