import { describe, expect, test } from "vitest";
import { run } from "../../src/autograd/run.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { assign } from "../../src/kernels/assign.ts";
import { combine } from "../../src/kernels/combine.ts";
import { useDevice } from "../device.ts";
import { relativeError } from "./measure.ts";
import { valuesOf } from "./op-case.ts";

describe("combine and assign", () => {
  const device = useDevice({ adapter: "software" });

  test.each([[1], [7], [64], [1000]])("weighted sums of %d values", async (size) => {
    const values = [1, 2, 3].map((seed) => valuesOf({ shape: [size] }, seed));
    const tensors = values.map((data) => tensor(device(), Float32Array.from(data), [size]));
    const weights = [3.4445, -4.775, 2.0315];
    const expected = (count: number): number[] => Array.from({ length: size }, (_, i) => weights.slice(0, count).reduce((sum, weight, k) => sum + weight * values[k][i], 0));
    expect(relativeError(await run(combine, tensors, { weights })[0].read(), expected(3))).toBeLessThanOrEqual(1e-6);
    expect(relativeError(await run(combine, tensors.slice(0, 2), { weights: weights.slice(0, 2) })[0].read(), expected(2))).toBeLessThanOrEqual(1e-6);
  });

  test("assign copies every type and leaves the source", async () => {
    const destination = tensor(device(), new Int32Array(5), [5]);
    const source = tensor(device(), Int32Array.of(1, -2, 3, -4, 2 ** 31 - 1), [5]);
    run(assign, [destination, source], {});
    expect(Array.from(await destination.read())).toEqual([1, -2, 3, -4, 2 ** 31 - 1]);
    expect(Array.from(await source.read())).toEqual([1, -2, 3, -4, 2 ** 31 - 1]);
  });

  test("refuses what does not fit", () => {
    const [a, b] = [tensor(device(), new Float32Array(2), [2]), tensor(device(), new Float32Array(3), [3])];
    expect(() => run(combine, [a, b], { weights: [1, 1] })).toThrow("combine: all tensors must have one shape; got [2] and [3]");
    expect(() => run(combine, [a, a], { weights: [1] })).toThrow("combine: needs one weight a tensor; got 1 for 2");
    expect(() => run(assign, [a, b], {})).toThrow("assign: both tensors must have one shape and type; got f32 [2] and f32 [3]");
  });
});
