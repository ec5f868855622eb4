import { describe, expect, test } from "vitest";
import { typedArray } from "../../src/core/dtype.ts";
import type { Device } from "../../src/device/device.ts";
import { Tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { binaryCases } from "./binary.ts";
import { concatCase } from "./concat.ts";
import { dropoutCase } from "./dropout.ts";
import { embeddingCase } from "./embedding.ts";
import { valuesOf, type OpCase } from "./op-case.ts";
import { transposeCase } from "./permute.ts";
import { argmaxCase, expandCase, maxCase, sumCase } from "./reduce.ts";
import { sliceCase } from "./slice.ts";
import { unaryCases } from "./unary.ts";

const MOST_WORKGROUPS = 2; // a dimension: the grids of all but the smallest samples fold

/** Outputs and gradients of all samples of a case. */
async function run<Attrs>(device: Device, opCase: OpCase<Attrs>): Promise<number[][]> {
  using _scope = device.scope();
  const found: number[][] = [];
  for (const sample of opCase.samples) {
    const inputs = sample.inputs.map(({ shape, dtype = "f32", ...input }, i) => {
      const data = typedArray(dtype, [...valuesOf({ shape, dtype, ...input }, i)]);
      return new Tensor(device, shape, dtype, device.allocateConstant(data, "input"), dtype === "f32");
    });
    const outputs = opCase.apply(inputs, sample.attrs);
    for (const output of outputs) {
      found.push([...(await output.read())]);
      if (output.node === null) continue;
      output.backward(new Tensor(device, output.shape, "f32", device.allocateConstant(Float32Array.from(valuesOf({ shape: output.shape }, 900)), "cotangent")));
      for (const { grad } of inputs) if (grad !== null) found.push([...(await grad.read())]);
    }
  }
  return found;
}

describe.each([true, false])("grids that are folded into two dimensions (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const wide = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });
  const folded = useDevice({ adapter: "software", limits: { cooperativeWorkgroups, maxComputeWorkgroupsPerDimension: MOST_WORKGROUPS } });

  const check = <Attrs>(opCase: OpCase<Attrs>): void =>
    test(`${opCase.name} gives the same bits`, async () => {
      expect(await run(folded(), opCase)).toEqual(await run(wide(), opCase));
    });

  check(unaryCases[0]);
  check(binaryCases[0]);
  check(sumCase);
  check(maxCase);
  check(argmaxCase);
  check(expandCase);
  check(transposeCase);
  check(sliceCase);
  check(concatCase);
  check(embeddingCase);
  check(dropoutCase);
});
