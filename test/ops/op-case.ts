import type { Tensor } from "../../src/autograd/tensor.ts";
import type { DType } from "../../src/core/dtype.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { Generator } from "../../src/core/rng.ts";

/** A tensor in float64, for references. */
export interface Reference {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** An input of a sample: random values in [low, high), or the given ones. */
export interface Input {
  readonly shape: Shape;
  readonly dtype?: DType;
  readonly low?: number;
  readonly high?: number;
  readonly values?: readonly number[];
}

/** Inputs and attributes on which an op is tried. */
export interface Sample<Attrs> {
  readonly name: string;
  readonly inputs: readonly Input[];
  readonly attrs: Attrs;
  /** The error that is allowed where tensors are stored in f16, if it must be larger than the usual 2e-3; with a comment why. */
  readonly f16?: number;
}

/** Inputs that an op must refuse, and what its message must say. */
export interface Refusal<Attrs> extends Sample<Attrs> {
  readonly message: RegExp;
}

/**
 * All that the harness needs to know of an op. From it come: output shapes, a compile test of every WGSL variant,
 * parity with the float64 reference, sentinels behind every buffer, gradients, refusals and bench entries.
 */
export interface OpCase<Attrs> {
  readonly name: string;
  /** The public op. */
  apply(inputs: readonly Tensor[], attrs: Attrs): readonly Tensor[];
  /** The same in float64 by plain loops that share nothing with the kernel. */
  reference(inputs: readonly Reference[], attrs: Attrs): readonly Reference[];
  /** Relative errors ‖out − ref‖ / ‖ref‖ that are allowed, and why they are as large as they are. */
  readonly tolerance: { readonly forward: number; readonly gradient: number; readonly reason: string };
  readonly samples: readonly Sample<Attrs>[];
  /** Indices of the inputs that have gradients; default all f32 ones. */
  readonly differentiable?: readonly number[];
  /** Outputs that are compared but have no gradient (indices, statistics). */
  readonly constantOutputs?: readonly number[];
  readonly refused?: readonly Refusal<Attrs>[];
  /** Shapes that the models use, for `npm run bench`. */
  readonly bench?: readonly Sample<Attrs>[];
  /**
   * A small sample of random sizes and attributes, for `npm run fuzz`. Its inputs leave the op well-conditioned, and
   * differentiable where they stand. All its randomness comes from the generator, so that a seed repeats it.
   */
  readonly fuzz?: (random: Generator) => Sample<Attrs>;
}

/** The values of a sample's input; the same at every run. */
export function valuesOf(input: Input, seed: number): Float64Array {
  if (input.values !== undefined) return Float64Array.from(input.values);
  const generator = new Generator(seed, 77);
  const { low = -1, high = 1, dtype = "f32" } = input;
  return Float64Array.from({ length: sizeOf(input.shape) }, () => {
    const value = low + (high - low) * generator.uniform();
    return dtype === "f32" ? Math.fround(value) : Math.floor(value);
  });
}

/** A float64 reference output, filled by `fill(index along each axis)`. */
export function referenceOf(shape: Shape, fill: (index: readonly number[]) => number): Reference {
  const data = new Float64Array(sizeOf(shape));
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    data[i] = fill(index);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis] === shape[axis]; axis--) index[axis] = 0;
  }
  return { shape, data };
}

/** The element at an index. */
export function at(tensor: Reference, ...index: readonly number[]): number {
  let flat = 0;
  tensor.shape.forEach((n, axis) => (flat = flat * n + index[axis]));
  return tensor.data[flat];
}

/** Sizes that fuzzing tries: one, odd ones, multiples of four (where kernels read vectors), and those about a tile's. */
const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 20, 31, 32, 33, 40] as const;

/** A whole number from `low` to `high`, both included. */
export function randomInteger(random: Generator, low: number, high: number): number {
  return low + random.integer(high - low + 1);
}

/** True once in `times`. */
export function once(random: Generator, times: number): boolean {
  return random.integer(times) === 0;
}

/** A size of one axis. */
export function randomSize(random: Generator, most = 40): number {
  return random.pick(SIZES.filter((size) => size <= most));
}

/** A shape of so many axes that holds at most so many elements; which axis is the long one is left to chance. */
export function randomShape(random: Generator, rank: number, elements = 1200): number[] {
  const shape = Array<number>(rank).fill(1);
  let rest = elements;
  for (const axis of random.shuffle([...shape.keys()])) {
    shape[axis] = randomSize(random, rest);
    rest = Math.floor(rest / shape[axis]);
  }
  return shape;
}

/** A shape that broadcasts to the given one: some axes have size 1, some in front are left out. */
export function randomStretched(random: Generator, shape: Shape): number[] {
  return shape.slice(random.integer(shape.length + 1) * random.integer(2)).map((size) => (once(random, 3) ? 1 : size));
}

/** Some axes of a tensor in any order, from the front or from the end; at times none is given, which means all. */
export function randomAxes(random: Generator, rank: number): number[] | undefined {
  if (rank === 0 || once(random, 5)) return undefined;
  const axes = random.shuffle([...Array(rank).keys()]).slice(0, randomInteger(random, 1, rank));
  return axes.map((axis) => (once(random, 3) ? axis - rank : axis));
}

/** Values in −0.5 … 0.5 that all differ by more than a finite difference moves them, in any order. */
export function distinctValues(random: Generator, shape: Shape): number[] {
  const size = sizeOf(shape);
  return random.shuffle(Array.from({ length: size }, (_, i) => Math.fround(i / size - 0.5)));
}
