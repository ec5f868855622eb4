import { describe, expect, test } from "vitest";
import { affine, gelu, relu, sigmoid, silu, tanh } from "../../src/autograd/ops/unary.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { erfc, FUNCTIONS, unaryCases } from "./unary.ts";

/** exp of ±87 has a rounded argument; sigmoid, as PyTorch's, loses the gradients that are far below 1. */
function allowed(value: number): number {
  return 1e-5 * Math.max(Math.abs(value), 1e-3);
}

for (const unaryCase of unaryCases) testOp(unaryCase);

describe("unary", () => {
  const device = useDevice({ adapter: "software" });

  /** Values of a function and of its gradient. */
  async function both(fn: (x: Tensor) => Tensor, values: readonly number[]): Promise<{ y: number[]; dx: number[] }> {
    using _scope = device().scope();
    const x = tensor(device(), Float32Array.from(values), [values.length]);
    x.requiresGrad = true;
    const y = fn(x);
    y.backward(tensor(device(), new Float32Array(values.length).fill(1), [values.length]));
    return { y: [...(await y.read())], dx: [...(await x.grad!.read())] };
  }

  test.each(Object.entries(FUNCTIONS))("%s: extremes, each by itself", async (_name, { fn, value, extremes }) => {
    const values = extremes.map(Math.fround);
    const { y, dx } = await both(fn, values);
    values.forEach((x, i) => {
      const step = 1e-6 * (Math.abs(x) || 1);
      const slope = (value(x + step) - value(x - step)) / (2 * step);
      expect(Math.abs(y[i] - value(x)), `value at ${x}`).toBeLessThanOrEqual(allowed(value(x)));
      expect(Math.abs(dx[i] - slope), `gradient at ${x}`).toBeLessThanOrEqual(allowed(slope));
    });
  });

  test("carries NaN and Inf as PyTorch does", async () => {
    const values = [NaN, Infinity, -Infinity, 0];
    expect(await both(relu, values)).toEqual({ y: [NaN, Infinity, 0, 0], dx: [1, 1, 0, 0] });
    expect(await both(sigmoid, values)).toEqual({ y: [NaN, 1, 0, 0.5], dx: [NaN, 0, 0, 0.25] });
    expect(await both(tanh, values)).toEqual({ y: [NaN, 1, -1, 0], dx: [NaN, 0, 0, 1] });
    expect((await both(gelu, values)).y).toEqual([NaN, Infinity, NaN, 0]);
    expect((await both(silu, values)).y).toEqual([NaN, Infinity, NaN, 0]);
  });

  test("gelu keeps its digits where 1 + erf cancels: each value within 3e-6 down to x = −9", async () => {
    const values = Array.from({ length: 901 }, (_, i) => Math.fround(-i / 100));
    const { y } = await both(gelu, values);
    const worst = values.reduce((most, x, i) => (x === 0 ? most : Math.max(most, Math.abs(y[i] / (0.5 * x * erfc(-x / Math.SQRT2)) - 1))), 0);
    expect(worst).toBeLessThan(3e-6);
  });

  test("affine refuses numbers that f32 does not hold", () => {
    using _scope = device().scope();
    const x = tensor(device(), new Float32Array(2), [2]);
    expect(() => affine(x, 1e39, 0)).toThrow(/affine: scale and offset must be finite in f32; got 1e\+39 and 0/);
    expect(() => affine(x, 1, NaN)).toThrow(/got 1 and NaN/);
  });

  test("refuses tensors that are not f32", () => {
    using _scope = device().scope();
    expect(() => relu(tensor(device(), new Int32Array(2), [2]))).toThrow(/relu: needs f32 or f16 tensors; got i32/);
  });
});
