import { describe, expect, test } from "vitest";
import { Tensor } from "../../src/autograd/tensor.ts";
import { typedArray } from "../../src/core/dtype.ts";
import { showShape, sizeOf } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import { Storage } from "../../src/device/storage.ts";
import { useDevice } from "../device.ts";
import { valuesOf, type Input, type OpCase, type Reference, type Sample } from "./op-case.ts";

const SENTINEL = 0x7fc0dead; // a NaN: reading it shows as well as overwriting it
const SENTINEL_BYTES = 256;
const MAX_DIFFERENCES = 48; // elements of an input that get a finite difference
const STEP = 1e-5; // of the central difference, in float64

/** ‖actual − expected‖ / ‖expected‖, absolute where the expected norm is tiny; NaN and Inf must stand in the same places. */
export function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
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
  const error = Math.sqrt(difference) / Math.max(Math.sqrt(norm), 1e-6);
  return Number.isNaN(error) ? Infinity : error;
}

/** Lays every storage that an action allocates between sentinels, and says which were overwritten. */
async function withSentinels<T>(device: Device, action: () => Promise<T>): Promise<{ result: T; broken: string[] }> {
  const fenced: { storage: Storage; buffer: GPUBuffer }[] = [];
  const { allocate } = device;
  const guard = new Uint32Array(SENTINEL_BYTES / 4).fill(SENTINEL);
  device.allocate = (size, label) => {
    const padded = Math.ceil(size / 4) * 4;
    const whole = device.allocatePersistent(padded + 2 * SENTINEL_BYTES, label);
    const { buffer } = whole.placed!;
    device.gpu.queue.writeBuffer(buffer, 0, new Uint32Array(buffer.size / 4).fill(SENTINEL));
    const storage = new Storage(size, label, { buffer, offset: SENTINEL_BYTES, size });
    fenced.push({ storage, buffer });
    return storage;
  };
  try {
    const result = await action();
    const broken: string[] = [];
    for (const { storage, buffer } of fenced) {
      const bytes = new Uint32Array(await device.read(new Storage(buffer.size, storage.label, { buffer, offset: 0, size: buffer.size })));
      const before = bytes.subarray(0, guard.length);
      const after = bytes.subarray(guard.length + storage.size / 4);
      if (![...before, ...after].every((word) => word === SENTINEL)) broken.push(storage.label);
    }
    return { result, broken };
  } finally {
    device.allocate = allocate;
    for (const { buffer } of fenced) device.buffers.release(buffer);
  }
}

function upload(device: Device, inputs: readonly Input[], values: readonly Float64Array[], differentiable: readonly number[]): Tensor[] {
  return inputs.map(({ shape, dtype = "f32" }, i) => {
    const data = typedArray(dtype, [...values[i]]);
    return new Tensor(device, shape, dtype, device.allocateConstant(data, `input ${i}`), differentiable.includes(i));
  });
}

function differentiableInputs<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>): readonly number[] {
  return opCase.differentiable ?? sample.inputs.flatMap((input, i) => ((input.dtype ?? "f32") === "f32" ? [i] : []));
}

/** Random cotangents, one an output that has a gradient. */
function cotangents<Attrs>(opCase: OpCase<Attrs>, outputs: readonly Reference[]): (Float64Array | null)[] {
  return outputs.map(({ shape }, i) => (opCase.constantOutputs?.includes(i) ? null : valuesOf({ shape }, 900 + i)));
}

/** Finite differences of Σ output · cotangent in float64, for some elements of one input. */
function finiteDifferences<Attrs>(opCase: OpCase<Attrs>, sample: Sample<Attrs>, values: readonly Float64Array[], input: number, weights: readonly (Float64Array | null)[]): Map<number, number> {
  const objective = (changed: readonly Float64Array[]): number => {
    const outputs = opCase.reference(sample.inputs.map(({ shape }, i) => ({ shape, data: changed[i] })), sample.attrs);
    return outputs.reduce((sum, { data }, o) => sum + (weights[o]?.reduce((part, w, i) => part + w * data[i], 0) ?? 0), 0);
  };
  const size = values[input].length;
  const stride = Math.max(1, Math.floor(size / MAX_DIFFERENCES));
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

/** Runs everything that follows from an op case. Each sample runs with and without cooperative workgroups. */
export function testOp<Attrs>(opCase: OpCase<Attrs>): void {
  describe(opCase.name, () => {
    const plain = useDevice({ adapter: "software" });
    const cooperative = useDevice({ adapter: "software", limits: { cooperativeWorkgroups: true } });
    const compiler = useDevice({ adapter: "null", limits: { maxStorageBuffersPerShaderStage: 8 } });

    for (const sample of opCase.samples) {
      for (const [variant, device] of [["one thread", plain], ["cooperative", cooperative]] as const) {
        test(`${sample.name}, ${variant}: values and gradients`, () => checkSample(device(), opCase, sample));
      }
      test(`${sample.name}: compiles on eight storage buffers`, async () => {
        const device = compiler();
        using _scope = device.scope();
        const tensors = upload(device, sample.inputs, sample.inputs.map((input, i) => valuesOf(input, i)), differentiableInputs(opCase, sample));
        const outputs = opCase.apply(tensors, sample.attrs);
        backwardThrough(device, opCase, outputs, outputs.map(({ shape }, o) => (opCase.constantOutputs?.includes(o) ? null : new Float64Array(sizeOf(shape)).fill(1))));
        await device.idle();
      });
    }
    for (const refusal of opCase.refused ?? []) {
      test(`refuses ${refusal.name}`, () => {
        const device = plain();
        using _scope = device.scope();
        const tensors = upload(device, refusal.inputs, refusal.inputs.map((input, i) => valuesOf(input, i)), []);
        expect(() => opCase.apply(tensors, refusal.attrs)).toThrow(refusal.message);
      });
    }
  });
}

function backwardThrough<Attrs>(device: Device, opCase: OpCase<Attrs>, outputs: readonly Tensor[], weights: readonly (Float64Array | null)[]): void {
  outputs.forEach((output, o) => {
    const weight = weights[o];
    if (weight === null || output.node === null) return;
    output.backward(new Tensor(device, output.shape, "f32", device.allocateConstant(Float32Array.from(weight), `${opCase.name} cotangent ${o}`)));
  });
}

async function checkSample<Attrs>(device: Device, opCase: OpCase<Attrs>, sample: Sample<Attrs>): Promise<void> {
  const { tolerance } = opCase;
  const values = sample.inputs.map((input, i) => valuesOf(input, i));
  const expected = opCase.reference(sample.inputs.map(({ shape }, i) => ({ shape, data: values[i] })), sample.attrs);
  const weights = cotangents(opCase, expected);
  const differentiable = differentiableInputs(opCase, sample);

  const { broken } = await withSentinels(device, async () => {
    const tensors = upload(device, sample.inputs, values, differentiable);
    const outputs = opCase.apply(tensors, sample.attrs);
    expect(outputs.map((output) => showShape(output.shape)), "output shapes").toEqual(expected.map(({ shape }) => showShape(shape)));
    for (const [o, output] of outputs.entries()) {
      const error = relativeError(await output.read(), expected[o].data);
      expect(error, `output ${o}, relative error (${tolerance.reason})`).toBeLessThanOrEqual(tolerance.forward);
    }
    backwardThrough(device, opCase, outputs, weights);
    for (const i of differentiable) {
      const gradient = tensors[i].grad;
      expect(gradient, `gradient of input ${i}`).not.toBeNull();
      expect(gradient!.shape, `shape of the gradient of input ${i}`).toEqual(sample.inputs[i].shape);
      const differences = finiteDifferences(opCase, sample, values, i, weights);
      const found = await gradient!.read();
      const error = relativeError([...differences.keys()].map((element) => found[element]), [...differences.values()]);
      expect(error, `gradient of input ${i}, relative error against finite differences (${tolerance.reason})`).toBeLessThanOrEqual(tolerance.gradient);
    }
  });
  expect(broken, "tensors with writes outside their bounds").toEqual([]);
}
