import { describe, expect, test } from "vitest";
import { mean, sum } from "../../src/autograd/ops/reduce.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { argmaxCase, expandCase, longSumCase, maxCase, meanCase, sumCase, sumToCase } from "./reduce.ts";

testOp(sumCase);
testOp(meanCase);
testOp(longSumCase);
testOp(maxCase);
testOp(argmaxCase);
testOp(expandCase);
testOp(sumToCase);

describe.each([true, false])("a sum of a million (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test.each([1_000_000, 999_983])("of %i numbers keeps a relative error of 1e-6", async (size) => {
    using _scope = device().scope();
    const generator = new Generator(5);
    const data = Float32Array.from({ length: size }, () => generator.uniform());
    const exact = data.reduce((total, term) => total + term, 0);
    const x = tensor(device(), data, [size]);
    expect(Math.abs((await sum(x).item()) / exact - 1)).toBeLessThan(1e-6);
    expect(Math.abs((await mean(x).item()) / (exact / size) - 1)).toBeLessThan(1e-6);
  });

  test("the gradient of a mean is 1/n everywhere", async () => {
    using _scope = device().scope();
    const x = tensor(device(), new Float32Array(20_000), [20_000]);
    x.requiresGrad = true;
    mean(x).backward();
    const gradient = await x.grad!.read();
    expect(gradient.every((dx) => dx === Math.fround(1 / 20_000))).toBe(true);
  });
});
