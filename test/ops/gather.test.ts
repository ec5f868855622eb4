import { describe, expect, test } from "vitest";
import { gather } from "../../src/autograd/ops/gather.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { gatherCase } from "./gather.ts";
import { testOp } from "./harness.ts";

testOp(gatherCase);

describe.each([true, false])("gather (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });
  const IDS = Int32Array.of(1, -1, 3, 2_000_000_000, -2_147_483_648, 0);

  test("a number outside of the axis gives NaN, and no gradient", async () => {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.of(1, 2, 3), [3]);
    x.requiresGrad = true;
    const y = gather(x, 0, tensor(device(), IDS, [6]));
    y.backward(tensor(device(), Float32Array.of(1, 2, 4, 8, 16, 32), [6]));
    expect([...(await y.read())]).toEqual([2, NaN, NaN, NaN, NaN, 1]);
    expect([...(await x.grad!.read())]).toEqual([32, 1, 0]);
  });

  test("integers: the least i32 and the greatest u32 where there is nothing", async () => {
    using _scope = device().scope();
    const index = tensor(device(), IDS, [6]);
    expect([...(await gather(tensor(device(), Int32Array.of(5, -6, 7), [3]), 0, index).read())]).toEqual([-6, ...Array<number>(4).fill(-(2 ** 31)), 5]);
    expect([...(await gather(tensor(device(), Uint32Array.of(5, 6, 7), [3]), 0, index).read())]).toEqual([6, ...Array<number>(4).fill(2 ** 32 - 1), 5]);
  });
});
