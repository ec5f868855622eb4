import { describe, expect, test } from "vitest";
import { linear } from "../../src/autograd/ops/linear.ts";
import { dequantize, int8Linear, quantize } from "../../src/autograd/ops/quantized.ts";
import { noGrad } from "../../src/autograd/tape.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import { Generator } from "../../src/core/rng.ts";
import { sizeOf, type Shape } from "../../src/core/shape.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { relativeError } from "./measure.ts";
import { dequantizeCase, int8EmbeddingCase, int8LinearCase, quantizeCase } from "./quantized.ts";

testOp(quantizeCase);
testOp(dequantizeCase);
testOp(int8LinearCase);
testOp(int8EmbeddingCase);

describe("weights in 8 bits", () => {
  const device = useDevice({ adapter: "software" });
  const generator = new Generator(9);
  const normal = (...shape: Shape): Tensor => tensor(device(), Float32Array.from({ length: sizeOf(shape) }, () => generator.normal()), shape);

  test("normally distributed weights lose about one part in two hundred", async () => {
    using _scope = device().scope();
    const [x, weight, bias] = [normal(20, 256), normal(300, 256), normal(300)];
    const quantized = quantize(weight);
    const y = await int8Linear(x, quantized, bias).read();
    const error = relativeError(y, await linear(x, weight, bias).read());
    expect(error).toBeGreaterThan(0.002);
    expect(error).toBeLessThan(0.01);
    // All of that is the rounding of the weight: with the rounded one it is exact.
    const [rounded, inputs, biases] = await Promise.all([dequantize(quantized).read(), x.read(), bias.read()]);
    const exact = Float64Array.from(y, (_, i) => {
      const [row, output] = [Math.floor(i / 300), i % 300];
      return Array.from({ length: 256 }, (_value, k) => inputs[row * 256 + k] * rounded[output * 256 + k]).reduce((sum, term) => sum + term, biases[output]);
    });
    expect(relativeError(y, exact)).toBeLessThan(1e-6);
    // No number is further off than half a step of its row.
    const [values, scales] = await Promise.all([weight.read(), quantized.scales.read()]);
    const steps = rounded.map((value, i) => Math.abs(value - values[i]) / scales[Math.floor(i / 256)]);
    expect(Math.max(...steps)).toBeLessThanOrEqual(0.5 + 1e-4);
  });

  test("a row that is not finite shows, and spoils no other", async () => {
    using _scope = device().scope();
    const quantized = quantize(tensor(device(), Float32Array.of(1, NaN, 2, Infinity, 3, 1, 2, -4), [4, 2]));
    expect([...(await dequantize(quantized).read())].map((value) => Math.round(value))).toEqual([NaN, NaN, NaN, NaN, 3, 1, 2, -4]);
  });

  test("no gradient flows, and asking for one is refused", () => {
    const x = normal(2, 8);
    x.requiresGrad = true;
    const quantized = quantize(normal(3, 8));
    expect(() => int8Linear(x, quantized)).toThrow(/int8Linear: weights in 8 bits are for inference.*call it inside noGrad\(\)/);
    expect(noGrad(() => int8Linear(x, quantized)).requiresGrad).toBe(false);
  });
});
