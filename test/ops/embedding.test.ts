import { describe, expect, test } from "vitest";
import { embedding } from "../../src/autograd/ops/embedding.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { embeddingCase } from "./embedding.ts";
import { testOp } from "./harness.ts";

testOp(embeddingCase);

describe.each([true, false])("embedding (cooperative workgroups %s)", (cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  async function both(weight: Float32Array, width: number, ids: readonly number[], dy: Float32Array): Promise<{ y: number[]; dweight: number[] }> {
    using _scope = device().scope();
    const table = tensor(device(), weight, [weight.length / width, width]);
    table.requiresGrad = true;
    const y = embedding(table, tensor(device(), Int32Array.from(ids), [ids.length]));
    y.backward(tensor(device(), dy, y.shape));
    return { y: [...(await y.read())], dweight: [...(await table.grad!.read())] };
  }

  test("an id outside the table gives NaN, and no gradient", async () => {
    const ids = [1, -1, 3, 2_000_000_000, -2_147_483_648, 0];
    const { y, dweight } = await both(Float32Array.of(1, 2, 3), 1, ids, Float32Array.of(1, 2, 4, 8, 16, 32));
    expect(y).toEqual([2, NaN, NaN, NaN, NaN, 1]);
    expect(dweight).toEqual([32, 1, 0]);
  });

  test("thousands of places of one word are added exactly where they can be, and alike at each run", async () => {
    const generator = new Generator(3);
    const [words, width, places] = [50, 4, 4003];
    const ids = Array.from({ length: places }, () => (generator.uniform() < 0.7 ? 0 : generator.integer(words)));
    const dy = Float32Array.from({ length: places * width }, () => generator.integer(1000));
    const expected = new Float64Array(words * width);
    dy.forEach((value, i) => (expected[ids[Math.floor(i / width)] * width + (i % width)] += value));
    const weight = new Float32Array(words * width);
    const { dweight } = await both(weight, width, ids, dy);
    expect(dweight).toEqual([...expected]);
    const rough = Float32Array.from(dy, (value) => value / 3);
    expect((await both(weight, width, ids, rough)).dweight).toEqual((await both(weight, width, ids, rough)).dweight);
  });
});
