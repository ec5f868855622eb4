import { pad, type Padding, type PadMode } from "../../src/autograd/ops/pad.ts";
import type { Generator } from "../../src/core/rng.ts";
import type { Shape } from "../../src/core/shape.ts";
import { at, randomInteger, randomShape, referenceOf, type OpCase, type Sample } from "./op-case.ts";

interface Attrs {
  readonly padding: readonly Padding[];
  readonly mode?: PadMode;
  readonly value?: number;
}

function sample(shape: Shape, padding: readonly Padding[], mode?: PadMode, value?: number): Sample<Attrs> {
  return { name: `[${shape}] by ${JSON.stringify(padding)} ${mode ?? "default"}`, inputs: [{ shape }], attrs: { padding, mode, value } };
}

/** The place that stands at place `i` of a padded axis of `n`; null in a constant padding. */
function source(i: number, n: number, mode: PadMode): number | null {
  if (i >= 0 && i < n) return i;
  switch (mode) {
    case "constant":
      return null;
    case "reflect":
      return i < 0 ? -i : 2 * (n - 1) - i;
    case "replicate":
      return i < 0 ? 0 : n - 1;
    case "circular":
      return (i + n) % n;
  }
}

function fuzz(random: Generator): Sample<Attrs> {
  const mode = random.pick(["constant", "reflect", "replicate", "circular"] as const);
  const shape = randomShape(random, randomInteger(random, 1, 4), 300);
  const padded = shape.slice(shape.length - randomInteger(random, 1, Math.min(3, shape.length)));
  const most = (n: number): number => ({ constant: 3, reflect: Math.min(3, n - 1), replicate: 3, circular: Math.min(3, n) })[mode];
  const least = mode === "constant" ? (n: number) => -Math.floor((n - 1) / 2) : () => 0;
  return sample(shape, padded.map((n): Padding => [randomInteger(random, least(n), most(n)), randomInteger(random, least(n), most(n))]), mode, random.pick([0, -1.5]));
}

export const padCase: OpCase<Attrs> = {
  name: "pad",
  apply: ([x], { padding, mode, value }) => [pad(x, padding, mode, value)],
  reference: ([x], { padding, mode = "constant", value = 0 }) => {
    const pairs = x.shape.map((_, axis): Padding => padding[axis - x.shape.length + padding.length] ?? [0, 0]);
    const shape = x.shape.map((n, axis) => n + pairs[axis][0] + pairs[axis][1]);
    return [
      referenceOf(shape, (index) => {
        const from = index.map((i, axis) => source(i - pairs[axis][0], x.shape[axis], mode));
        return from.includes(null) ? value : at(x, ...(from as number[]));
      }),
    ];
  },
  tolerance: { forward: 0, gradient: 1e-6, reason: "no arithmetic forward; backward a sum of a few roundings of f32" },
  samples: [
    sample([5], [[2, 1]]),
    sample([3, 4], [[0, 4]], "constant", 2.5),
    sample([2, 3, 4, 8], [[1, 2], [4, 0]]),
    sample([2, 5, 6], [[-1, 2], [1, -3]], "constant", -1),
    sample([3, 4], [[0, 0]]),
    sample([2, 5, 6], [[2, 4], [5, 1]], "reflect"),
    sample([2, 3], [[1, 4], [3, 0]], "replicate"),
    sample([4, 3], [[4, 1], [0, 3]], "circular"),
  ],
  refused: [
    { ...sample([3], [[1, 1], [1, 1]]), name: "more pairs than axes", message: /pad: there must be at most 1 pairs for \[3\]; got 2/ },
    { ...sample([3], [[3, 0]], "reflect"), name: "a reflection that is too long", message: /pad: a reflect padding must be of whole numbers up to 2, .*got 3 and 0/ },
    { ...sample([3], [[-2, -1]]), name: "nothing that is left", message: /leave something of axis 0 of \[3\]; got -2 and -1/ },
  ],
  fuzz,
  bench: [sample([32, 64, 56, 56], [[1, 1], [1, 1]])],
};
