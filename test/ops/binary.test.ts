import { describe, expect, test } from "vitest";
import { div, mul } from "../../src/autograd/ops/binary.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { binaryCases, numberCases } from "./binary.ts";
import { testOp } from "./harness.ts";

for (const binaryCase of binaryCases) testOp(binaryCase);
for (const numberCase of numberCases) testOp(numberCase);

describe("binary", () => {
  const device = useDevice({ adapter: "software" });

  test("both sides may be one tensor: its gradients add up", async () => {
    using _scope = device().scope();
    const x = tensor(device(), new Float32Array([3, -2]), [2]);
    x.requiresGrad = true;
    mul(x, x).backward(tensor(device(), new Float32Array([1, 10]), [2]));
    expect([...(await x.grad!.read())]).toEqual([6, -40]);
  });

  test("division by 0 gives Inf and NaN, by the number 0 it is refused", async () => {
    using _scope = device().scope();
    const a = tensor(device(), new Float32Array([1, -1, 0]), [3]);
    expect([...(await div(a, tensor(device(), new Float32Array(1), [])).read())]).toEqual([Infinity, -Infinity, NaN]);
    expect(() => div(a, 0)).toThrow(/must be finite/);
  });
});
