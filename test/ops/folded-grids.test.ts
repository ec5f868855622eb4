/** Grids of more workgroups than an adapter allows along one axis are folded into two: every kernel must find its way. */

import { expect, test } from "vitest";
import { full, type Tensor } from "../../src/autograd/tensor.ts";
import { valuesOf, type OpCase, type Sample } from "./op-case.ts";
import { useDevice } from "../device.ts";
import { ALL_CASES } from "./index.ts";
import { differentiableInputs, upload } from "./measure.ts";

const MOST_WORKGROUPS = 3; // along an axis: few, so that small samples fold; odd, so that the last row of a grid is not full
const SAMPLES = 2; // of each case, the largest

const device = useDevice({ adapter: "software" });

/** Elements of the largest input: what decides on the number of workgroups. */
function sizeOfSample({ inputs }: Sample<unknown>): number {
  return Math.max(0, ...inputs.map(({ shape }) => shape.reduce((a, b) => a * b, 1)));
}

/** Outputs and gradients of a sample. */
async function run(opCase: OpCase<unknown>, sample: Sample<unknown>): Promise<number[][]> {
  using _scope = device().scope();
  const inputs = upload(device(), sample.inputs, sample.inputs.map(valuesOf), differentiableInputs(opCase, sample));
  const outputs = opCase.apply(inputs, sample.attrs);
  for (const [o, output] of outputs.entries()) {
    if (output.node !== null && !opCase.constantOutputs?.includes(o)) output.backward(full(device(), output.shape, 1));
  }
  const gradients = inputs.flatMap(({ grad }) => (grad === null ? [] : [grad]));
  return Promise.all([...outputs, ...gradients].map(async (tensor: Tensor) => [...(await tensor.read())]));
}

/** Runs an action while kernels believe in a lower limit; the pipelines are the same, only the grids differ. */
async function folded<T>(action: () => Promise<T>): Promise<T> {
  const limits = device().limits as { maxComputeWorkgroupsPerDimension: number };
  const before = limits.maxComputeWorkgroupsPerDimension;
  limits.maxComputeWorkgroupsPerDimension = MOST_WORKGROUPS;
  try {
    return await action();
  } finally {
    limits.maxComputeWorkgroupsPerDimension = before;
  }
}

test.each(ALL_CASES.map((opCase) => ({ name: opCase.name, opCase })))("$name gives the same bits on folded grids", async ({ opCase }) => {
  const samples = [...opCase.samples].sort((a, b) => sizeOfSample(b) - sizeOfSample(a)).slice(0, SAMPLES);
  for (const sample of samples) expect(await folded(() => run(opCase, sample)), sample.name).toEqual(await run(opCase, sample));
});
