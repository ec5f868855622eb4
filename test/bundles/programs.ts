import { full } from "../../src/autograd/tensor.ts";
import { Device } from "../../src/device/device.ts";
import { findAdapter } from "../../src/device/gpu-node.ts";
import { ALL_CASES } from "../ops/index.ts";
import { differentiableInputs, upload } from "../ops/measure.ts";
import { valuesOf } from "../ops/op-case.ts";

/** The WGSL of what the first and the last sample of each op runs, forward and backward, for both families of variants and in f16: compiled by Dawn, in the order of use. */
export async function programsOfOps(): Promise<string[]> {
  const codes: string[] = [];
  for (const [cooperativeWorkgroups, storage] of [[false, "f16"], [true, "f32"]] as const) {
    const found = await findAdapter("null");
    const gpu = await found.adapter.requestDevice();
    const compile = gpu.createShaderModule.bind(gpu);
    gpu.createShaderModule = (descriptor) => {
      codes.push(descriptor.code);
      return compile(descriptor);
    };
    const device = new Device(gpu, found, { cooperativeWorkgroups, emulateF16: true });
    for (const opCase of ALL_CASES) {
      for (const sample of new Set([opCase.samples[0], opCase.samples.at(-1)!])) {
        using _scope = device.scope();
        const inputs = upload(device, sample.inputs, sample.inputs.map(valuesOf), differentiableInputs(opCase, sample), storage);
        opCase.apply(inputs, sample.attrs).forEach((output, o) => {
          if (output.node !== null && !opCase.constantOutputs?.includes(o)) output.backward(full(device, output.shape, 1));
        });
      }
    }
    await device.idle(); // throws what the compiler refused
    await device.close();
  }
  return codes;
}
