/** Measuring an op against its float64 reference, wherever there is a device: the tests and the conformance suite both do. */

import { Tensor } from "../../src/autograd/tensor.ts";
import { encode, typedArray, type DType } from "../../src/core/dtype.ts";
import { FLOAT16_MAX, fromFloat16Bits, toFloat16Bits } from "../../src/core/float16.ts";
import { sameShape, showShape, type Shape } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import { Storage } from "../../src/device/storage.ts";
import { valuesOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

const SENTINEL = 0x7fc0dead; // a NaN: reading it shows as well as overwriting it
const SENTINEL_BYTES = 256;
const MAX_DIFFERENCES = 48; // elements of an input that get a finite difference
const STEP = 1e-5; // of the central difference, in float64
const FLOAT16_SMALLEST_NORMAL = 2 ** -14;
const MOST_CHANGED = 0.1; // of an output, relatively, when inputs are rounded to f16

/** How float tensors are stored on the device. */
export type FloatStorage = "f32" | "f16";

/** What is allowed where float tensors are stored in f16: each holds 11 bits, and a result is rounded to them again. */
export const F16_TOLERANCE = 2e-3;

/** What one output or gradient was found to be. */
export interface Measured {
  /** `out0` …, `grad0` … by the number of the input. */
  readonly what: string;
  /** Relative error ‖found − expected‖ / ‖expected‖; Infinity where NaN and Inf stand in other places. */
  readonly error: number;
  readonly tolerance: number;
  /** What is wrong beside the error, such as another shape. */
  readonly problem?: string;
}

/** What a sample gave on a device. */
export interface SampleResult {
  readonly measured: readonly Measured[];
  /** Labels of tensors with writes outside of their bounds. */
  readonly broken: readonly string[];
}

/** A sample and what it should give, in float64: worked out once, compared on every device. */
export interface Expectation {
  readonly values: readonly Float64Array[];
  readonly outputs: readonly Reference[];
  /** One for each output that has a gradient. */
  readonly cotangents: readonly (Float64Array | null)[];
  /** For each differentiable input: finite differences of Σ output · cotangent at some of its elements. */
  readonly gradients: ReadonlyMap<number, ReadonlyMap<number, number>>;
  readonly storage: FloatStorage;
}

/**
 * ‖actual − expected‖ / ‖expected‖; NaN and Inf must stand in the same places.
 * The norm counts as 1e-6 where it is less, and in f16 as that of its least normal number everywhere: below that, a
 * number format has no digits left to be right in.
 */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>, storage: FloatStorage = "f32"): number {
  if (actual.length !== expected.length) return Infinity;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i]) || actual[i] === expected[i]) {
      if (Number.isFinite(expected[i])) norm += expected[i] ** 2;
      continue;
    }
    difference += (actual[i] - expected[i]) ** 2;
    norm += expected[i] ** 2;
  }
  const least = storage === "f16" ? FLOAT16_SMALLEST_NORMAL * Math.sqrt(expected.length) : 1e-6;
  const error = Math.sqrt(difference) / Math.max(Math.sqrt(norm), least);
  return Number.isNaN(error) ? Infinity : error;
}

/** The nearest number that f16 can hold. */
export function roundToFloat16(value: number): number {
  return fromFloat16Bits(toFloat16Bits(value));
}

function isFloatInput({ dtype = "f32" }: Input): boolean {
  return dtype === "f32";
}

/** Inputs of a sample that have gradients. */
export function differentiableInputs<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>): readonly number[] {
  return opCase.differentiable ?? sample.inputs.flatMap((input, i) => (isFloatInput(input) ? [i] : []));
}

export interface ExpectationOptions {
  /** Elements of an input that get a finite difference; default 48. */
  readonly most?: number;
  /** What becomes of a drawn cotangent; by default it is taken as it is. */
  readonly cotangent?: (drawn: number) => number;
}

/** The float64 side of a sample, at values that the storage can hold. */
export function expectation<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>, storage: FloatStorage = "f32", options: ExpectationOptions = {}): Expectation {
  const { most = MAX_DIFFERENCES, cotangent = (drawn) => drawn } = options;
  const stored = (input: Input, values: Float64Array): Float64Array => (storage === "f16" && isFloatInput(input) ? values.map(roundToFloat16) : values);
  const values = sample.inputs.map((input, i) => stored(input, valuesOf(input, i)));
  const outputs = opCase.reference(sample.inputs.map(({ shape }, i) => ({ shape, data: values[i] })), sample.attrs);
  const cotangents = outputs.map(({ shape }, i) => (opCase.constantOutputs?.includes(i) ? null : stored({ shape }, valuesOf({ shape }, 900 + i).map(cotangent))));
  const gradients = new Map(differentiableInputs(opCase, sample).map((i) => [i, finiteDifferences(opCase, sample, values, i, cotangents, most)]));
  return { values, outputs, cotangents, gradients, storage };
}

/**
 * Whether a sample makes sense in f16: it and what it should give lie within the range of f16, and that remains about the same when
 * the inputs are rounded to it. (A mean of 10⁴ leaves no digits for a spread of 1.)
 */
export function fitsFloat16<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>): boolean {
  const given = sample.inputs.map((input, i) => ({ shape: input.shape, data: valuesOf(input, i) }));
  const rounded = given.map(({ shape, data }, i) => ({ shape, data: isFloatInput(sample.inputs[i]) ? data.map(roundToFloat16) : data }));
  const exact = opCase.reference(given, sample.attrs);
  const floats = [...given.filter((_, i) => isFloatInput(sample.inputs[i])), ...exact];
  const inRange = floats.every(({ data }) => data.every((value) => !Number.isFinite(value) || Math.abs(value) <= FLOAT16_MAX));
  return inRange && opCase.reference(rounded, sample.attrs).every(({ data }, o) => relativeError(data, exact[o].data, "f16") <= MOST_CHANGED);
}

/** Finite differences of Σ output · cotangent in float64, for some elements of one input. */
function finiteDifferences<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>, values: readonly Float64Array[], input: number, cotangents: readonly (Float64Array | null)[], most: number): Map<number, number> {
  const objective = (changed: readonly Float64Array[]): number => {
    const outputs = opCase.reference(sample.inputs.map(({ shape }, i) => ({ shape, data: changed[i] })), sample.attrs);
    return outputs.reduce((sum, { data }, o) => sum + (cotangents[o]?.reduce((part, w, i) => part + w * data[i], 0) ?? 0), 0);
  };
  const size = values[input].length;
  const stride = Math.max(1, Math.floor(size / most));
  const differences = new Map<number, number>();
  for (let element = 0; element < size; element += stride) {
    const step = STEP * Math.max(1, Math.abs(values[input][element]));
    const shifted = (delta: number): number => {
      const copy = Float64Array.from(values[input]);
      copy[element] += delta;
      return objective(values.map((other, i) => (i === input ? copy : other)));
    };
    differences.set(element, (shifted(step) - shifted(-step)) / (2 * step));
  }
  return differences;
}

/** Puts the inputs of a sample on a device, floats in the given storage. */
export function upload(device: Device, inputs: readonly Input[], values: readonly Float64Array[], differentiable: readonly number[], storage: FloatStorage = "f32"): Tensor[] {
  return inputs.map(({ shape, dtype: stated = "f32" }, i) => {
    const dtype: DType = stated === "f32" ? storage : stated;
    const data = encode(typedArray(stated, [...values[i]]), dtype, device.limits.emulateF16);
    return new Tensor(device, shape, dtype, device.allocateConstant(data, `input ${i}`), differentiable.includes(i));
  });
}

/** Starts the backward pass of each output that has a gradient with its cotangent. */
export function backwardThrough<Attrs>(device: Device, opCase: OpCase<Attrs>, outputs: readonly Tensor[], cotangents: readonly (Float64Array | null)[]): void {
  outputs.forEach((output, o) => {
    const cotangent = cotangents[o];
    if (cotangent === null || !output.requiresGrad) return;
    const data = encode(Float32Array.from(cotangent), output.dtype, device.limits.emulateF16);
    output.backward(new Tensor(device, output.shape, output.dtype, device.allocateConstant(data, `${opCase.name} cotangent ${o}`)));
  });
}

/** A storage between two runs of sentinels in a buffer of its own. */
interface Fenced {
  readonly label: string;
  readonly buffer: GPUBuffer;
  /** The sentinels before and after the storage, as ranges of bytes of the buffer. */
  readonly guards: readonly (readonly [begin: number, end: number])[];
}

/**
 * Lays every storage that an action allocates between sentinels, and says which were overwritten.
 * @param action Must append all its commands before it waits for anything: then one round trip reads results and sentinels.
 */
async function withSentinels<T>(device: Device, action: () => Promise<T>): Promise<{ result: T; broken: string[] }> {
  const fenced: Fenced[] = [];
  const { allocate } = device;
  device.allocate = (size, label) => {
    const { buffer } = device.allocatePersistent(size + 2 * SENTINEL_BYTES, label).placed!;
    device.gpu.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(SENTINEL));
    fenced.push({ label, buffer, guards: [[0, SENTINEL_BYTES], [SENTINEL_BYTES + size, buffer.size]] });
    return new Storage(size, label, { buffer, offset: SENTINEL_BYTES, size });
  };
  try {
    const pending = action();
    device.allocate = allocate;
    const [result, broken] = await Promise.all([pending, brokenFences(device, fenced)]);
    return { result, broken };
  } finally {
    device.allocate = allocate;
    for (const { buffer } of fenced) device.buffers.release(buffer);
  }
}

/** Labels of the storages whose sentinels were overwritten by the commands so far. */
async function brokenFences(device: Device, fenced: readonly Fenced[]): Promise<string[]> {
  const bytes = fenced.flatMap(({ guards }) => guards).reduce((sum, [begin, end]) => sum + end - begin, 0);
  const collected = device.allocatePersistent(bytes, "sentinels");
  device.flush();
  const encoder = device.gpu.createCommandEncoder({ label: "sentinels" });
  let offset = 0;
  for (const { buffer, guards } of fenced) {
    for (const [begin, end] of guards) {
      encoder.copyBufferToBuffer(buffer, begin, collected.placed!.buffer, offset, end - begin);
      offset += end - begin;
    }
  }
  device.gpu.queue.submit([encoder.finish()]);
  const words = new Uint32Array(await device.read(collected));
  device.release(collected);
  let word = 0;
  return fenced.flatMap(({ label, guards }) => {
    const count = guards.reduce((sum, [begin, end]) => sum + (end - begin) / 4, 0);
    const own = words.subarray(word, (word += count));
    return own.every((value) => value === SENTINEL) ? [] : [label];
  });
}

/**
 * Runs a sample forward and backward on a device, and compares what comes out with the float64 reference.
 * @throws what the op throws, or DeviceError for what the adapter refuses.
 */
export async function measureSample<Attrs>(device: Device, opCase: OpCase<Attrs>, sample: Sample<Attrs>, expected: Expectation): Promise<SampleResult> {
  const { storage } = expected;
  const half = sample.f16 ?? F16_TOLERANCE;
  const tolerance = storage === "f16" ? { forward: half, gradient: half } : opCase.tolerance;
  const { result, broken } = await withSentinels(device, async () => {
    const tensors = upload(device, sample.inputs, expected.values, [...expected.gradients.keys()], storage);
    const outputs = opCase.apply(tensors, sample.attrs);
    backwardThrough(device, opCase, outputs, expected.cotangents);
    const forward = expected.outputs.map(async ({ shape, data }, o): Promise<Measured> => {
      const [what, output] = [`out${o}`, outputs.at(o)];
      if (output === undefined) return missing(what, tolerance.forward, `there must be ${expected.outputs.length} outputs; got ${outputs.length}`);
      return { what, error: relativeError(await output.read(), data, storage), tolerance: tolerance.forward, problem: shapeProblem(output.shape, shape) };
    });
    const backward = [...expected.gradients].map(async ([i, differences]): Promise<Measured> => {
      const [what, { grad }] = [`grad${i}`, tensors[i]];
      if (grad === null) return missing(what, tolerance.gradient, "no gradient reached the input");
      const found = await grad.read();
      const error = relativeError([...differences.keys()].map((element) => found[element]), [...differences.values()], storage);
      return { what, error, tolerance: tolerance.gradient, problem: shapeProblem(grad.shape, sample.inputs[i].shape) };
    });
    return Promise.all([...forward, ...backward]);
  });
  return { measured: result, broken };
}

function missing(what: string, tolerance: number, problem: string): Measured {
  return { what, error: Infinity, tolerance, problem };
}

function shapeProblem(found: Shape, expected: Shape): string | undefined {
  return sameShape(found, expected) ? undefined : `the shape must be ${showShape(expected)}; got ${showShape(found)}`;
}

/** Whether a measurement is as it should be. */
export function isWithin({ error, tolerance, problem }: Measured): boolean {
  return problem === undefined && error <= tolerance;
}
