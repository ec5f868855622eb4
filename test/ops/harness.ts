import { describe, expect, test } from "vitest";
import { sizeOf } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import { useDevice } from "../device.ts";
import { backwardThrough, differentiableInputs, expectation, isWithin, measureSample, upload, type Expectation } from "./measure.ts";
import { valuesOf, type OpCase, type Sample } from "./op-case.ts";

/** Runs everything that follows from an op case. Each sample runs with and without cooperative workgroups. */
export function testOp<Attrs>(opCase: OpCase<Attrs>): void {
  describe(opCase.name, () => {
    const plain = useDevice({ adapter: "software" });
    const cooperative = useDevice({ adapter: "software", limits: { cooperativeWorkgroups: true } });
    const compiler = useDevice({ adapter: "null", limits: { maxStorageBuffersPerShaderStage: 8 } });

    for (const sample of opCase.samples) {
      let expected: Expectation | undefined; // worked out by the first variant that runs
      for (const [variant, device] of [["one thread", plain], ["cooperative", cooperative]] as const) {
        test(`${sample.name}, ${variant}: values and gradients`, () => checkSample(device(), opCase, sample, (expected ??= expectation(opCase, sample))));
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

async function checkSample<Attrs>(device: Device, opCase: OpCase<Attrs>, sample: Sample<Attrs>, expected: Expectation): Promise<void> {
  const { measured, broken } = await measureSample(device, opCase, sample, expected);
  const wrong = measured.filter((each) => !isWithin(each)).map(({ what, error, tolerance, problem }) => `${what}: ${problem ?? `relative error ${error}, allowed ${tolerance} (${opCase.tolerance.reason})`}`);
  expect(wrong, "outputs and gradients that are wrong").toEqual([]);
  expect(broken, "tensors with writes outside their bounds").toEqual([]);
}
