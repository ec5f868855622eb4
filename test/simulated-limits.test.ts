/**
 * Every op on the least that WebGPU promises, as on many phones: eight storage buffers, 16 KiB of workgroup memory,
 * bindings of 128 MiB, 256 threads a workgroup, no optional feature. The device itself is opened with no more than that,
 * so that what a kernel takes beyond it is refused, not only unexpected.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { full } from "../src/autograd/tensor.ts";
import { Device } from "../src/device/device.ts";
import { findAdapter } from "../src/device/gpu-node.ts";
import { ALL_CASES } from "./ops/index.ts";
import { differentiableInputs, relativeError, upload } from "./ops/measure.ts";
import { valuesOf, type OpCase } from "./ops/op-case.ts";

/** A device with the limits and features that one gets without asking for any. */
async function requestPhone(adapter: "software" | "null", cooperativeWorkgroups: boolean): Promise<Device> {
  const found = await findAdapter(adapter);
  return new Device(await found.adapter.requestDevice({ label: "phone" }), found, { cooperativeWorkgroups });
}

/** Runs the first sample of a case forward, and backward from ones; returns what is wrong with the outputs. */
async function tryCase(device: Device, opCase: OpCase<unknown>): Promise<string[]> {
  using _scope = device.scope();
  const [sample] = opCase.samples;
  const values = sample.inputs.map(valuesOf);
  const inputs = upload(device, sample.inputs, values, differentiableInputs(opCase, sample));
  const outputs = opCase.apply(inputs, sample.attrs);
  const expected = opCase.reference(sample.inputs.map(({ shape }, i) => ({ shape, data: values[i] })), sample.attrs);
  const found = await Promise.all(outputs.map((output) => output.read()));
  outputs.forEach((output, o) => {
    if (output.node !== null && !opCase.constantOutputs?.includes(o)) output.backward(full(device, output.shape, 1));
  });
  await device.idle(); // throws what the device refused
  return expected.flatMap(({ data }, o) => {
    const error = relativeError(found[o], data);
    return error <= opCase.tolerance.forward ? [] : [`output ${o}: relative error ${error}, allowed ${opCase.tolerance.forward}`];
  });
}

describe.each([false, true])("the least that WebGPU promises (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  let device: Device;
  beforeAll(async () => {
    device = await requestPhone("software", cooperativeWorkgroups);
  });
  afterAll(() => device.close());

  test("is what the device has", () => {
    expect(device.limits).toMatchObject({ maxStorageBuffersPerShaderStage: 8, maxComputeWorkgroupStorageSize: 16_384, maxStorageBufferBindingSize: 128 * 2 ** 20, maxComputeInvocationsPerWorkgroup: 256 });
    expect([...device.limits.features].filter((feature) => feature === "shader-f16" || feature === "subgroups")).toEqual([]);
  });

  test.each(ALL_CASES.map((opCase) => ({ name: opCase.name, opCase })))("$name", async ({ opCase }) => {
    expect(await tryCase(device, opCase)).toEqual([]);
  });
});
