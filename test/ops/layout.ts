import { flatten, repeat, roll, split, squeeze, stack, unsqueeze } from "../../src/autograd/ops/layout.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, once, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

const tolerance = { forward: 0, gradient: 1e-6, reason: "no arithmetic forward; backward at most a sum of roundings of f32" } as const;

interface Axis {
  readonly axis?: number;
}

function withAxis(axis: number | undefined, ...shapes: readonly Shape[]): Sample<Axis> {
  return { name: `${shapes.map((shape) => `[${shape}]`).join(" ")}${axis === undefined ? "" : `, axis ${axis}`}`, inputs: shapes.map((shape) => ({ shape })), attrs: { axis } };
}

export const squeezeCase: OpCase<Axis> = {
  name: "squeeze",
  apply: ([x], { axis }) => [squeeze(x, axis)],
  reference: ([x], { axis }) => {
    const kept = x.shape.filter((n, i) => n !== 1 || (axis !== undefined && i !== (axis + x.shape.length) % x.shape.length));
    return [{ shape: kept, data: x.data }];
  },
  tolerance,
  samples: [withAxis(undefined, [1, 3, 1, 2]), withAxis(2, [1, 3, 1, 2]), withAxis(-1, [3, 2]), withAxis(undefined, [1])],
  refused: [{ ...withAxis(2, [1, 3]), name: "an axis outside the rank", message: /squeeze: axis must be in -2\.\.1/ }],
};

export const unsqueezeCase: OpCase<Required<Axis>> = {
  name: "unsqueeze",
  apply: ([x], { axis }) => [unsqueeze(x, axis)],
  reference: ([x], { axis }) => [{ shape: x.shape.toSpliced(axis < 0 ? axis + x.shape.length + 1 : axis, 0, 1), data: x.data }],
  tolerance,
  samples: [0, 1, 2, -1, -3].map((axis) => ({ ...withAxis(axis, [3, 2]), attrs: { axis } })),
  refused: [{ ...withAxis(3, [2, 3]), attrs: { axis: 3 }, name: "an axis behind the last", message: /unsqueeze: axis must be in -3\.\.2/ }],
};

export const flattenCase: OpCase<{ readonly first?: number; readonly last?: number; readonly result: Shape }> = {
  name: "flatten",
  apply: ([x], { first, last }) => [flatten(x, first, last)],
  reference: ([x], { result }) => [{ shape: result, data: x.data }],
  tolerance,
  samples: [
    { name: "all", inputs: [{ shape: [2, 3, 4] }], attrs: { result: [24] } },
    { name: "all but the batch", inputs: [{ shape: [2, 3, 4] }], attrs: { first: 1, result: [2, 12] } },
    { name: "the first two", inputs: [{ shape: [2, 3, 4] }], attrs: { last: -2, result: [6, 4] } },
    { name: "a scalar", inputs: [{ shape: [] }], attrs: { result: [1] } },
  ],
  refused: [{ name: "axes the wrong way round", inputs: [{ shape: [2, 3] }], attrs: { first: 1, last: 0, result: [] }, message: /flatten: the first axis must not lie behind the last; got 1 and 0/ }],
};

export const stackCase: OpCase<Axis> = {
  name: "stack",
  apply: (xs, { axis }) => [stack(xs, axis)],
  reference: (xs, { axis = 0 }) => {
    const normal = axis < 0 ? axis + xs[0].shape.length + 1 : axis;
    return [referenceOf(xs[0].shape.toSpliced(normal, 0, xs.length), (index) => at(xs[index[normal]], ...index.toSpliced(normal, 1)))];
  },
  tolerance,
  samples: [withAxis(undefined, [2, 3], [2, 3]), withAxis(1, [2, 4], [2, 4], [2, 4]), withAxis(-1, [5], [5]), withAxis(0, [], [], [])],
  refused: [{ ...withAxis(0, [2], [3]), name: "shapes that differ", message: /one shape except at axis 0/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 3), 200);
    return withAxis(randomInteger(random, -shape.length - 1, shape.length), ...Array<Shape>(randomInteger(random, 1, 8)).fill(shape));
  },
};

export const splitCase: OpCase<{ readonly sizes: number | readonly number[]; readonly axis?: number }> = {
  name: "split",
  apply: ([x], { sizes, axis }) => split(x, sizes, axis),
  reference: ([x], { sizes, axis = 0 }) => {
    const normal = (axis + x.shape.length) % x.shape.length;
    const n = x.shape[normal];
    const parts = typeof sizes === "number" ? Array<number>(Math.ceil(n / sizes)).fill(sizes) : sizes;
    const ends = parts.map((_, i) => Math.min(n, parts.slice(0, i + 1).reduce((a, b) => a + b)));
    return ends.map((end, i) => referenceOf(x.shape.with(normal, end - (ends[i - 1] ?? 0)), (index) => at(x, ...index.with(normal, index[normal] + (ends[i - 1] ?? 0)))));
  },
  tolerance,
  samples: [
    { name: "equal parts", inputs: [{ shape: [6, 4] }], attrs: { sizes: 2 } },
    { name: "a rest", inputs: [{ shape: [3, 7] }], attrs: { sizes: 3, axis: 1 } },
    { name: "given parts", inputs: [{ shape: [2, 8, 4] }], attrs: { sizes: [4, 1, 3], axis: -2 } },
  ],
  refused: [{ name: "parts that do not add up", inputs: [{ shape: [5, 2] }], attrs: { sizes: [2, 2] }, message: /split: the parts must add up to 5, the size of axis 0 of \[5,2\]; got \[2,2\]/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 1, 3), 300);
    const axis = random.integer(shape.length);
    return { name: `[${shape}]`, inputs: [{ shape }], attrs: { sizes: Math.max(randomInteger(random, 1, 5), Math.ceil(shape[axis] / 8)), axis } };
  },
};

interface RollAttrs {
  readonly shift: number;
  readonly axis: number;
}

export const rollCase: OpCase<RollAttrs> = {
  name: "roll",
  apply: ([x], { shift, axis }) => [roll(x, shift, axis)],
  reference: ([x], { shift, axis }) => {
    const normal = (axis + x.shape.length) % x.shape.length;
    const n = x.shape[normal];
    return [referenceOf(x.shape, (index) => at(x, ...index.with(normal, (((index[normal] - shift) % n) + n) % n)))];
  },
  tolerance,
  samples: [[2, 0], [-1, 1], [9, -1], [0, 0], [5, 0]].map(([shift, axis]) => ({ name: `by ${shift} along axis ${axis}`, inputs: [{ shape: [5, 4] }], attrs: { shift, axis } })),
  refused: [{ name: "an axis outside the rank", inputs: [{ shape: [3] }], attrs: { shift: 1, axis: 1 }, message: /roll: axis must be in -1\.\.0/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 1, 4), 400);
    const attrs = { shift: randomInteger(random, -50, 50), axis: random.integer(shape.length) };
    return { name: `[${shape}] ${JSON.stringify(attrs)}`, inputs: [{ shape }], attrs };
  },
};

export const repeatCase: OpCase<{ readonly times: Shape }> = {
  name: "repeat",
  apply: ([x], { times }) => [repeat(x, times)],
  reference: ([x], { times }) => {
    const shape = times.map((n, axis) => n * (x.shape[axis - times.length + x.shape.length] ?? 1));
    return [referenceOf(shape, (index) => at(x, ...x.shape.map((n, axis) => index[axis + times.length - x.shape.length] % n)))];
  },
  tolerance,
  samples: [
    { name: "one axis", inputs: [{ shape: [3] }], attrs: { times: [4] } },
    { name: "two axes", inputs: [{ shape: [2, 3] }], attrs: { times: [3, 2] } },
    { name: "new axes", inputs: [{ shape: [2, 1, 4] }], attrs: { times: [2, 1, 3, 1] } },
    { name: "a scalar", inputs: [{ shape: [] }], attrs: { times: [3] } },
  ],
  refused: [{ name: "too few numbers", inputs: [{ shape: [2, 3] }], attrs: { times: [2] }, message: /repeat: there must be a whole number of at least 1 for each axis of \[2,3\]; got \[2\]/ }],
  fuzz: (random) => {
    const shape = randomShape(random, randomInteger(random, 0, 3), 60);
    const times = Array.from({ length: shape.length + (once(random, 2) ? 1 : 0) }, () => randomInteger(random, 1, 3));
    return { name: `[${shape}] by [${times}]`, inputs: [{ shape }], attrs: { times } };
  },
};
