import { describe, expect, test } from "vitest";
import { indexSelect } from "../../src/autograd/ops/index-select.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { indexSelectCase } from "./index-select.ts";

testOp(indexSelectCase);

describe.each([true, false])("indexSelect (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  test.each([[1], [4]])("an id outside of the axis gives a row of NaN, and no gradient (rows of %i)", async (width) => {
    using _scope = device().scope();
    const rows = (values: readonly number[]): number[] => values.flatMap((value) => Array<number>(width).fill(value));
    const x = tensor(device(), Float32Array.from(rows([1, 2, 3])), [3, width]);
    x.requiresGrad = true;
    const y = indexSelect(x, 0, tensor(device(), Int32Array.of(1, -1, 3, 2_000_000_000, 1, 0), [6]));
    y.backward(tensor(device(), Float32Array.from(rows([1, 2, 4, 8, 16, 32])), y.shape));
    expect([...(await y.read())]).toEqual(rows([2, NaN, NaN, NaN, 2, 1]));
    expect([...(await x.grad!.read())]).toEqual(rows([32, 17, 0]));
  });

  test("integers", async () => {
    using _scope = device().scope();
    const ids = tensor(device(), Int32Array.of(2, 9, 0), [3]);
    expect([...(await indexSelect(tensor(device(), Int32Array.of(5, -6, 7), [3]), 0, ids).read())]).toEqual([7, -(2 ** 31), 5]);
    expect([...(await indexSelect(tensor(device(), Uint32Array.of(5, 6, 7), [3]), 0, ids).read())]).toEqual([7, 2 ** 32 - 1, 5]);
  });
});
