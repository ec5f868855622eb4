import { describe, expect, test } from "vitest";
import { add, div, mul, sub } from "../../src/autograd/ops/binary.ts";
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

  test("whole numbers have sums, differences and products of their own", async () => {
    using _scope = device().scope();
    const [a, b] = [Int32Array.of(2 ** 30 + 1, -7, 5), Int32Array.of(3)].map((data) => tensor(device(), data, [data.length]));
    expect([...(await add(a, b).read())]).toEqual([2 ** 30 + 4, -4, 8]);
    expect([...(await sub(a, b).read())]).toEqual([2 ** 30 - 2, -10, 2]);
    expect([...(await mul(a, b).read())]).toEqual([-(2 ** 30) + 3, -21, 15]); // wraps around
    expect(() => div(a, b)).toThrow(/div: .*i32/);
  });

  test("division by 0 gives Inf and NaN, by the number 0 it is refused", async () => {
    using _scope = device().scope();
    const a = tensor(device(), new Float32Array([1, -1, 0]), [3]);
    expect([...(await div(a, tensor(device(), new Float32Array(1), [])).read())]).toEqual([Infinity, -Infinity, NaN]);
    expect(() => div(a, 0)).toThrow(/must be finite/);
  });
});
