import { describe, expect, test } from "vitest";
import { run } from "../../src/autograd/run.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import { gemmVariants } from "../../src/kernels/gemm.ts";
import type { Variant } from "../../src/kernels/gemm-product.ts";
import type { KernelLimits } from "../../src/kernels/kernel.ts";
import { matmul, sumParts, type MatmulAttrs } from "../../src/kernels/matmul.ts";
import { useDevice } from "../device.ts";
import { testOp } from "./harness.ts";
import { matmulCase, matmulReference } from "./matmul.ts";
import { relativeError } from "./measure.ts";
import { valuesOf } from "./op-case.ts";

testOp(matmulCase);

const LIMITS: KernelLimits = {
  maxStorageBuffersPerShaderStage: 8,
  maxStorageBufferBindingSize: 2 ** 27,
  maxComputeWorkgroupStorageSize: 32_768,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupsPerDimension: 65_535,
  features: new Set(["subgroups"]),
  cooperativeWorkgroups: false,
  emulateF16: false,
};

const ACTIVATIONS = {
  none: (x: number) => x,
  relu: (x: number) => Math.max(0, x),
  gelu: (x: number) => x * normalBelow(x),
  gelu_tanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
} as const;

/** The share of a normal distribution below x, by Simpson's rule. */
function normalBelow(x: number): number {
  const steps = 2000;
  const density = (t: number): number => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density((x * i) / steps) * (i % 2 === 0 ? 2 : 4);
  return 0.5 + (sum * x) / steps / 3;
}

describe("matmul kernel", () => {
  const device = useDevice({ adapter: "software" });
  const [m, k, n] = [37, 29, 44];
  const size = { rows: m, columns: n, batch: 1, depth: k };

  async function product(attrs: MatmulAttrs): Promise<{ found: ArrayLike<number>; expected: Float64Array }> {
    using _scope = device().scope();
    const shapes = [attrs.transposeA === true ? [k, m] : [m, k], attrs.transposeB === true ? [n, k] : [k, n], [n]];
    const values = shapes.map((shape, i) => valuesOf({ shape }, i));
    const inputs = shapes.slice(0, attrs.bias === true ? 3 : 2).map((shape, i) => tensor(device(), Float32Array.from(values[i]), shape));
    const [out] = run(matmul, inputs, attrs);
    const [reference] = matmulReference(shapes.map((shape, i) => ({ shape, data: values[i] })), attrs);
    const activate = ACTIVATIONS[attrs.activation ?? "none"];
    const expected = reference.data.map((value, i) => activate(value + (attrs.bias === true ? values[2][i % n] : 0)));
    const found = await ((attrs.splits ?? 1) > 1 ? run(sumParts, [out], { dtype: "f32" })[0] : out).read();
    return { found, expected };
  }

  function variants(changed: Partial<KernelLimits>): [string, Variant][] {
    return gemmVariants(size, { ...LIMITS, ...changed }).map((variant) => [JSON.stringify(variant), variant]);
  }

  test.each([...variants({ cooperativeWorkgroups: false,
  emulateF16: false }), ...variants({ cooperativeWorkgroups: true })])("%s", async (_, variant) => {
    // Workgroup memory takes the software adapter seconds to compile: one layout is enough there.
    for (const transpose of variant.family === "shared" ? [false] : [false, true]) {
      const { found, expected } = await product({ transposeA: transpose, transposeB: transpose, bias: true, variant });
      expect(relativeError(found, expected), "f32 sums of 29 products").toBeLessThanOrEqual(1e-6);
    }
  });

  test.each(Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[])("activation %s after the bias", async (activation) => {
    const { found, expected } = await product({ bias: true, activation });
    expect(relativeError(found, expected), "the erf of gelu is within 1.5e-7").toBeLessThanOrEqual(2e-6);
  });

  test.each([2, 5, 29, 31])("the sum in %d parts", async (splits) => {
    const { found, expected } = await product({ splits });
    expect(relativeError(found, expected)).toBeLessThanOrEqual(1e-6);
  });
});
