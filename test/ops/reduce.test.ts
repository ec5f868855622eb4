import { describe, expect, test } from "vitest";
import { max, mean, sum } from "../../src/autograd/ops/reduce.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { argmaxCase, argminCase, expandCase, extremesCases, longSumCase, maxCase, meanCase, minCase, prodCase, sumCase, sumToCase } from "./reduce.ts";

testOp(sumCase);
testOp(meanCase);
testOp(longSumCase);
testOp(prodCase);
testOp(maxCase);
testOp(minCase);
for (const extremesCase of extremesCases) testOp(extremesCase);
testOp(argmaxCase);
testOp(argminCase);
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

describe("ties", () => {
  const device = useDevice({ adapter: "software" });

  test("equal extremes share the gradient evenly, and a NaN leaves none to any", async () => {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.of(3, 1, 3, 3, 2, 5, 4, 5, 0, NaN, 1, 2), [3, 4]);
    x.requiresGrad = true;
    max(x, 1).backward(tensor(device(), Float32Array.of(6, 1, 1), [3]));
    expect([...(await x.grad!.read())]).toEqual([2, 0, 2, 2, 0, 0.5, 0, 0.5, NaN, NaN, NaN, NaN]);
  });
});
