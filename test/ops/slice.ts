import { flip, slice } from "../../src/autograd/ops/slice.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomAxes, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
  readonly step?: number;
}

function sample(shape: Shape, axis: number, start: number, end: number, step?: number): Sample<Attrs> {
  return { name: `${start}…${end} of axis ${axis} of [${shape}]${step === undefined ? "" : `, step ${step}`}`, inputs: [{ shape }], attrs: { axis, start, end, step } };
}

function fuzz(random: Generator): Sample<Attrs> {
  const shape = randomShape(random, randomInteger(random, 1, 4));
  const axis = random.integer(shape.length);
  const start = random.integer(shape[axis]);
  return sample(shape, once(random, 3) ? axis - shape.length : axis, start, randomInteger(random, start + 1, shape[axis]), random.pick([1, 1, 2, 3]));
}

export const sliceCase: OpCase<Attrs> = {
  name: "slice",
  apply: ([x], { axis, start, end, step }) => [slice(x, axis, start, end, step)],
  reference: ([x], { axis, start, end, step = 1 }) => {
    const normal = (axis + x.shape.length) % x.shape.length;
    return [referenceOf(x.shape.with(normal, Math.ceil((end - start) / step)), (index) => at(x, ...index.with(normal, index[normal] * step + start)))];
  },
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [
    sample([7], 0, 2, 5),
    sample([5, 7], 0, 1, 5),
    sample([5, 7], 1, 6, 7),
    sample([3, 6, 8], 1, 2, 4),
    sample([3, 16], -1, 4, 12),
    sample([3, 16], -1, 3, 12),
    sample([2, 3, 5, 4], 2, 0, 5),
    sample([11], 0, 1, 10, 3),
    sample([3, 8, 8], 1, 0, 8, 2),
    sample([3, 7, 5], -2, 2, 7, 9),
    { ...sample([3, 8], 1, 4, 8), name: "i32", inputs: [{ shape: [3, 8], dtype: "i32", low: -99, high: 99 }] },
  ],
  refused: [
    { ...sample([2, 3], 1, 0, 4), name: "an end beyond the axis", message: /slice: start and end must be whole numbers with 0 ≤ start < end ≤ 3 for axis 1 of \[2,3\]; got 0 and 4/ },
    { ...sample([2, 3], 1, 2, 2), name: "an empty part", message: /got 2 and 2/ },
    { ...sample([2, 3], 1, -1, 2), name: "a negative start", message: /got -1 and 2/ },
    { ...sample([2, 3], 1, 0, 3, 0), name: "a step of 0", message: /slice: the step must be a whole number of at least 1; got 0/ },
    { ...sample([2, 3], 1, 0, 3, 1.5), name: "half a step", message: /step 1\.5/ },
    { ...sample([2, 3], 2, 0, 1), name: "an axis outside the rank", message: /axis must be in -2\.\.1/ },
  ],
  fuzz,
  bench: [sample([8, 64, 2304], 2, 768, 1536)],
};

interface FlipAttrs {
  readonly axes?: readonly number[];
}

function flipSample(shape: Shape, axes?: readonly number[]): Sample<FlipAttrs> {
  return { name: `[${shape}] over ${axes === undefined ? "all" : `[${axes}]`}`, inputs: [{ shape }], attrs: { axes } };
}

export const flipCase: OpCase<FlipAttrs> = {
  name: "flip",
  apply: ([x], { axes }) => [flip(x, axes)],
  reference: ([x], { axes }) => {
    const rank = x.shape.length;
    const turned = x.shape.map((_, axis) => axes === undefined || axes.includes(axis) || axes.includes(axis - rank));
    return [referenceOf(x.shape, (index) => at(x, ...index.map((i, axis) => (turned[axis] ? x.shape[axis] - 1 - i : i))))];
  },
  tolerance: { forward: 0, gradient: 1e-7, reason: "no arithmetic; the cotangents are rounded to f32" },
  samples: [flipSample([7]), flipSample([3, 5], [0]), flipSample([2, 3, 8], [1]), flipSample([2, 3, 4], [-1, 0]), flipSample([], [])],
  refused: [{ ...flipSample([2, 3], [2]), name: "an axis outside the rank", message: /flip: axis must be in -2\.\.1/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 4));
    return flipSample(shape, randomAxes(random, shape.length));
  },
};
