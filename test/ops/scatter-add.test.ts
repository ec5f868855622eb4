import { describe, expect, test } from "vitest";
import { scatterAdd } from "../../src/autograd/ops/scatter-add.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { scatterAddCase } from "./scatter-add.ts";

testOp(scatterAddCase);

describe.each([true, false])("scatterAdd (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  async function added(size: number, ids: readonly number[], src: Float32Array): Promise<number[]> {
    using _scope = device().scope();
    const zeros = tensor(device(), new Float32Array(size), [size]);
    return [...(await scatterAdd(zeros, 0, tensor(device(), Int32Array.from(ids), [ids.length]), tensor(device(), src, [src.length])).read())];
  }

  test.each([[3], [200_000]])("numbers outside of an axis of %i are left out, and what they would bring has the gradient 0", async (size) => {
    using _scope = device().scope();
    const x = tensor(device(), new Float32Array(size), [size]);
    const src = tensor(device(), Float32Array.of(1, 2, 4, 8, 16, 32, NaN), [7]);
    src.requiresGrad = true;
    const y = scatterAdd(x, 0, tensor(device(), Int32Array.of(1, -1, size, 2_000_000_000, -2_147_483_648, 0, -3), [7]), src);
    expect([...(await y.read())].slice(0, 3)).toEqual([32, 1, 0]);
    y.backward(tensor(device(), Float32Array.from({ length: size }, (_, i) => i + 5), [size]));
    expect([...(await src.grad!.read())]).toEqual([6, 0, 0, 0, 0, 5, 0]);
  });

  test("thousands of terms of one number are added alike at each run, sorted or not", async () => {
    const generator = new Generator(3);
    const ids = Array.from({ length: 4003 }, () => (generator.uniform() < 0.7 ? 0 : generator.integer(50)));
    const exact = Float32Array.from(ids, () => generator.integer(1000));
    const rough = exact.map((value) => value / 3);
    for (const size of [50, 500]) {
      const expected = Array<number>(size).fill(0);
      ids.forEach((id, i) => (expected[id] += exact[i]));
      expect(await added(size, ids, exact)).toEqual(expected);
      expect(await added(size, ids, rough)).toEqual(await added(size, ids, rough));
    }
  });
});
