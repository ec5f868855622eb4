import { describe, expect, test } from "vitest";
import { logSumExp, norm, std } from "../../src/autograd/ops/statistics.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { logSumExpCase, normCase, stdCase, varianceCase } from "./statistics.ts";

testOp(varianceCase);
testOp(stdCase);
testOp(normCase);
testOp(logSumExpCase);

describe("where a square root is 0", () => {
  const device = useDevice({ adapter: "software" });

  test.each([["norm", norm, [0, 0, 0]], ["std", std, [2, 2, 2]]] as const)("the gradient of %s is 0", async (_name, fn, values) => {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.from(values), [3]);
    x.requiresGrad = true;
    const y = fn(x);
    y.backward();
    expect([await y.item(), ...(await x.grad!.read())]).toEqual([0, 0, 0, 0]);
  });

  test("logSumExp of ±10⁴", async () => {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.of(1e4, -1e4, 1e4, -1e4), [2, 2]);
    expect([...(await logSumExp(x, 0).read())]).toEqual([1e4 + Math.log(2), -1e4 + Math.log(2)].map(Math.fround));
  });

  test("logSumExp of infinities", async () => {
    using _scope = device().scope();
    const of = (...values: readonly number[]): Tensor => tensor(device(), Float32Array.from(values), [2, values.length / 2]);
    expect([...(await logSumExp(of(-Infinity, -Infinity, 1, Infinity), 1).read())]).toEqual([-Infinity, Infinity]);
    expect([...(await logSumExp(of(-Infinity, 3, NaN, 1), 1).read())]).toEqual([3, NaN]);
  });
});
