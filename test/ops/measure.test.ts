import { describe, expect, test } from "vitest";
import { defineOp } from "../../src/autograd/op.ts";
import { run } from "../../src/autograd/run.ts";
import type { Kernel } from "../../src/kernels/kernel.ts";
import { bindings, bytesOf, spec } from "../../src/kernels/wgsl.ts";
import { useDevice } from "../device.ts";
import { expectation, fitsFloat16, isWithin, measureSample, relativeError } from "./measure.ts";
import type { OpCase } from "./op-case.ts";

const device = useDevice({ adapter: "software" });

/** Twice the input, written from `first` to `last`: elements outside of 0 … n − 1 lie beyond the bounds. */
const twice: Kernel<{ last: number }> = {
  name: "twice",
  infer: ([x]) => [spec(x.shape)],
  cost: ([x]) => ({ flops: 1, bytes: bytesOf(x, x) }),
  program: (_inputs, { last }) => ({
    wgsl: `${bindings([["x", "f32"]], [["y", "f32"]])}
@compute @workgroup_size(1)
fn main() {
  for (var i = 0u; i <= ${last}u; i++) { y[i] = 2.0 * x[min(i, 3u)]; }
}`,
    grid: [1, 1, 1],
  }),
};

function doubling(last: number, slope: number): OpCase<Record<never, never>> {
  const op = defineOp<{ last: number }>({
    name: "twice",
    forward: (inputs, attrs) => ({ outputs: run(twice, inputs, attrs), saved: [] }),
    backward: ([dy]) => (slope === 2 ? run(twice, [dy!], { last: 3 }) : [dy]),
  });
  return {
    name: "twice",
    apply: (inputs) => op(inputs, { last }),
    reference: ([{ shape, data }]) => [{ shape, data: data.map((value) => 2 * value) }],
    tolerance: { forward: 1e-7, gradient: 1e-7, reason: "one exact product" },
    samples: [{ name: "four", inputs: [{ shape: [4] }], attrs: {} }],
  };
}

async function measure(opCase: OpCase<Record<never, never>>): Promise<{ wrong: string[]; broken: readonly string[] }> {
  const [sample] = opCase.samples;
  const { measured, broken } = await measureSample(device(), opCase, sample, expectation(opCase, sample));
  return { wrong: measured.filter((each) => !isWithin(each)).map(({ what }) => what), broken };
}

describe("measureSample", () => {
  test("finds nothing wrong with an op that is right", async () => {
    expect(await measure(doubling(3, 2))).toEqual({ wrong: [], broken: [] });
  });

  test("sees a write beyond the bounds", async () => {
    expect(await measure(doubling(4, 2))).toEqual({ wrong: [], broken: ["twice"] });
  });

  test("sees values that are left out", async () => {
    expect(await measure(doubling(2, 2))).toEqual({ wrong: ["out0"], broken: [] });
  });

  test("sees a wrong gradient", async () => {
    expect(await measure(doubling(3, 1))).toEqual({ wrong: ["grad0"], broken: [] });
  });

  test("leaves no memory behind", async () => {
    await measure(doubling(3, 2));
    const before = device().memory().liveBuffers;
    await measure(doubling(3, 2));
    expect(device().memory().liveBuffers).toBe(before);
  });
});

test("relative errors", () => {
  expect(relativeError([3, 4], [3, 4])).toBe(0);
  expect(relativeError([3, 4.5], [3, 4])).toBeCloseTo(0.1);
  expect(relativeError([1e-8], [0])).toBeCloseTo(1e-2); // absolute, in units of 1e-6
  expect(relativeError([NaN, 1], [NaN, 1])).toBe(0);
  expect(relativeError([NaN, 1], [0, 1])).toBe(Infinity);
  expect(relativeError([1], [Infinity])).toBe(Infinity);
  expect(relativeError([1], [1, 2])).toBe(Infinity);
  expect(relativeError([2e-7], [1e-7], "f16")).toBeLessThan(2e-3); // both are subnormal there
});

test("samples that f16 cannot hold", () => {
  const identity = (values: readonly number[], reference: OpCase<object>["reference"] = (inputs) => inputs): [OpCase<object>, OpCase<object>["samples"][number]] => {
    const sample = { name: "", inputs: [{ shape: [values.length], values }], attrs: {} };
    return [{ ...doubling(3, 2), reference, samples: [sample] }, sample];
  };
  expect(fitsFloat16(...identity([1, -2.5, Infinity]))).toBe(true);
  expect(fitsFloat16(...identity([1, -1e9]))).toBe(false);
  const spread: OpCase<object>["reference"] = ([{ data }]) => [{ shape: [1], data: Float64Array.of(data[1] - data[0]) }];
  expect(fitsFloat16(...identity([1, 1.5], spread))).toBe(true);
  expect(fitsFloat16(...identity([10_000, 10_001], spread))).toBe(false);
});
