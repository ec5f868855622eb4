/** Random shapes: an op on random sizes, attributes and values against its float64 reference. Nothing here prints. */

import { requestDevice, type Device, type DeviceOptions } from "../../src/device/device.ts";
import { Generator } from "../../src/core/rng.ts";
import { backwardThrough, expectation, isWithin, measureSample, relativeError, upload, type Expectation, type Measured } from "../ops/measure.ts";
import { valuesOf, type OpCase, type Sample } from "../ops/op-case.ts";

const DIFFERENCES = 6; // elements of an input that get a finite difference: many samples, so few of each
const ROUNDING = 2 ** -23; // relative, of an input or a cotangent
const ROUNDINGS = 8; // as many times the change that a rounding of the inputs makes may an ill-conditioned result be off
const DEVICE_LIFE = 400; // shapes, after which a device is opened afresh: each leaves compiled pipelines behind

/** An op that has random samples. */
export type FuzzCase = OpCase<unknown> & Required<Pick<OpCase<unknown>, "fuzz">>;

export interface FuzzOptions {
  readonly cases: readonly FuzzCase[];
  readonly seed: number;
  readonly adapter: NonNullable<DeviceOptions["adapter"]>;
}

/** A shape on which an op was wrong. */
export interface FuzzFailure {
  /** Of the shape in its seed's sequence. */
  readonly index: number;
  readonly op: string;
  readonly family: Family;
  readonly sample: Pick<Sample<unknown>, "name" | "attrs"> & { readonly shapes: readonly (readonly number[])[] };
  readonly problems: readonly string[];
}

type Family = "cooperative" | "one thread";

/** The op, the kernels' family and the sample that a seed has at an index, whatever was tried before. */
function draw({ cases, seed }: FuzzOptions, index: number): { opCase: FuzzCase; family: Family; sample: Sample<unknown> } {
  const opCase = cases[index % cases.length];
  const random = new Generator(seed, index);
  const sample = opCase.fuzz(random);
  const inputs = sample.inputs.map((input) => ({ ...input, values: [...valuesOf(input, random.nextU32())] }));
  return { opCase, family: Math.floor(index / cases.length) % 2 === 0 ? "one thread" : "cooperative", sample: { ...sample, inputs } };
}

/** Opens a device of each family when it is wanted, and a new one after some time. */
export class Fuzzer {
  private readonly options: FuzzOptions;
  private readonly devices = new Map<Family, { readonly device: Device; shapes: number }>();

  constructor(options: FuzzOptions) {
    this.options = options;
  }

  /** Tries one shape; null if all is right. */
  async tryShape(index: number): Promise<FuzzFailure | null> {
    const { opCase, family, sample } = draw(this.options, index);
    const device = await this.deviceOf(family);
    const problems = await problemsOf(device, opCase, sample, this.options.adapter === "null").catch((error: unknown) => [String(error)]);
    if (problems.length === 0) return null;
    await this.close(); // whatever an op left behind shall not fall on the next one
    return { index, op: opCase.name, family, sample: { name: sample.name, attrs: sample.attrs, shapes: sample.inputs.map(({ shape }) => shape) }, problems };
  }

  async close(): Promise<void> {
    for (const { device } of this.devices.values()) await device.close();
    this.devices.clear();
  }

  private async deviceOf(family: Family): Promise<Device> {
    let entry = this.devices.get(family);
    if (entry !== undefined && entry.shapes >= DEVICE_LIFE) {
      await entry.device.close();
      entry = undefined;
    }
    entry ??= { device: await requestDevice({ adapter: this.options.adapter, limits: { cooperativeWorkgroups: family === "cooperative" } }), shapes: 0 };
    entry.shapes++;
    this.devices.set(family, entry);
    return entry.device;
  }
}

async function problemsOf(device: Device, opCase: FuzzCase, sample: Sample<unknown>, compileOnly: boolean): Promise<string[]> {
  const expected = expectation(opCase, sample, "f32", { most: DIFFERENCES });
  if (compileOnly) {
    await compile(device, opCase, sample, expected);
    return [];
  }
  const { measured, broken } = await measureSample(device, opCase, sample, expected);
  const wrong = measured.filter((found) => !isWithin(found));
  const excused = wrong.length === 0 ? new Map<string, number>() : changeByRounding(opCase, sample, expected);
  return [
    ...wrong.filter(({ what, error, problem }) => problem !== undefined || !(error <= ROUNDINGS * (excused.get(what) ?? 0))).map(show),
    ...broken.map((label) => `writes outside of ${label}`),
  ];
}

function show({ what, error, tolerance, problem }: Measured): string {
  return problem === undefined ? `${what}: relative error ${error.toExponential(2)}, allowed ${tolerance}` : `${what}: ${problem}`;
}

async function compile(device: Device, opCase: FuzzCase, sample: Sample<unknown>, expected: Expectation): Promise<void> {
  using _scope = device.scope();
  const outputs = opCase.apply(upload(device, sample.inputs, expected.values, [...expected.gradients.keys()]), sample.attrs);
  backwardThrough(device, opCase, outputs, expected.cotangents);
  await device.idle();
}

/** How far a rounding of all that goes in moves each output and gradient of the reference: what no f32 kernel can be asked to beat. */
function changeByRounding(opCase: FuzzCase, sample: Sample<unknown>, exact: Expectation): Map<string, number> {
  const random = new Generator(0, 1);
  const rounded = (value: number): number => value * (1 + (random.integer(2) === 0 ? ROUNDING : -ROUNDING));
  const inputs = sample.inputs.map((input, i) => {
    const isFloat = (input.dtype ?? "f32") === "f32";
    return isFloat ? { ...input, values: [...exact.values[i]].map(rounded) } : input;
  });
  const moved = expectation(opCase, { ...sample, inputs }, "f32", { most: DIFFERENCES, cotangent: rounded });
  return new Map([
    ...moved.outputs.map(({ data }, o) => [`out${o}`, relativeError(data, exact.outputs[o].data)] as const),
    ...[...moved.gradients].map(([i, differences]) => [`grad${i}`, relativeError([...differences.values()], [...exact.gradients.get(i)!.values()])] as const),
  ]);
}
