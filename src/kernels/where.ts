import { isFloat } from "../core/dtype.ts";
import { broadcastShapes, sizeOf } from "../core/shape.ts";
import { isTrue, requireComparable } from "./compare.ts";
import { elementwise } from "./elementwise.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bytesOf, commonFloat, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

function outputOf([condition, a, b]: readonly TensorSpec[]): TensorSpec {
  const shape = broadcastShapes(broadcastShapes(a.shape, b.shape, "where"), condition.shape, "where");
  return spec(shape, isFloat(a.dtype) ? commonFloat(a, b) : a.dtype);
}

/**
 * Elements of one tensor or of another, with NumPy's broadcasting: out = condition ≠ 0 ? a : b. A NaN is not 0.
 *
 * condition [...] of any type, a [...], b [...] of one type → out, the broadcast shape.
 * @throws ShapeError if the shapes do not broadcast, or the types of a and b differ.
 */
export const where: Kernel = {
  name: "where",
  parts: cutElementwise,
  infer(inputs) {
    requireComparable("where", inputs[1], inputs[2]);
    return [outputOf(inputs)];
  },
  cost(inputs) {
    const out = outputOf(inputs);
    return { flops: sizeOf(out.shape), bytes: bytesOf(...inputs, out) };
  },
  program(inputs, _attrs, limits) {
    const [condition, a, b] = inputs;
    const { shape, dtype } = outputOf(inputs);
    return elementwise({ shape, inputs: [["condition", condition], ["a", a], ["b", b]], expression: `select(b, a, ${isTrue("condition", condition.dtype)})`, dtype }, limits);
  },
};

/**
 * Gradient of {@link where} by one of its choices, before it is summed to that one's shape: dy where it was taken, and 0 elsewhere.
 *
 * condition (broadcasts to dy), dy [...] → [...]. @param taken Whether the choice was taken where the condition holds.
 */
export const whereBackward: Kernel<{ taken: boolean }> = {
  name: "whereBackward",
  parts: cutElementwise,
  infer([, dy]) {
    return [spec(dy.shape, dy.dtype)];
  },
  cost([condition, dy]) {
    return { flops: sizeOf(dy.shape), bytes: bytesOf(condition, dy, dy) };
  },
  program([condition, dy], { taken }, limits) {
    const holds = isTrue("condition", condition.dtype);
    return elementwise({ shape: dy.shape, inputs: [["condition", condition], ["dy", dy]], expression: taken ? `select(T(), dy, ${holds})` : `select(dy, T(), ${holds})` }, limits);
  },
};
