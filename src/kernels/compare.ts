import { ShapeError } from "../core/errors.ts";
import { isFloat, type DType } from "../core/dtype.ts";
import { broadcastShapes, sizeOf } from "../core/shape.ts";
import { elementwise } from "./elementwise.ts";
import type { Kernel, TensorSpec } from "./kernel.ts";
import { bytesOf, spec } from "./wgsl.ts";
import { cutElementwise } from "./windows.ts";

export type Comparison = "equal" | "notEqual" | "less" | "lessEqual" | "greater" | "greaterEqual";
export type LogicalFunction = "logicalAnd" | "logicalOr";

const OPERATORS: Record<Comparison, string> = { equal: "==", notEqual: "!=", less: "<", lessEqual: "<=", greater: ">", greaterEqual: ">=" };

/** WGSL of whether the elements of an elementwise input are no NaN, by their bits: some adapters compare as if there were none. */
function isNumber(name: string): string {
  return `((bitcast<Bits>(${name}) & Bits(0x7fffffffu)) <= Bits(0x7f800000u))`;
}

/** WGSL of whether the elements of an elementwise input are true: not 0, so NaN is. */
export function isTrue(name: string, dtype: DType): string {
  return isFloat(dtype) ? `((bitcast<Bits>(${name}) & Bits(0x7fffffffu)) != Bits(0u))` : `(Bits(${name}) != Bits(0u))`;
}

function compared(operator: string, dtype: DType): string {
  if (!isFloat(dtype)) return `(x ${operator} y)`;
  const numbers = `${isNumber("x")} & ${isNumber("y")}`;
  return operator === "!=" ? `((x != y) | !(${numbers}))` : `((x ${operator} y) & ${numbers})`;
}

/** @throws ShapeError unless both are floats, or both of one integer type. */
export function requireComparable(what: string, a: TensorSpec, b: TensorSpec): void {
  if (a.dtype === b.dtype || (isFloat(a.dtype) && isFloat(b.dtype))) return;
  throw new ShapeError(`${what}: both tensors must be of one type; got ${a.dtype} and ${b.dtype}`);
}

/**
 * Elementwise comparison with NumPy's broadcasting: out = a ∘ b ? 1 : 0. With NaN only `notEqual` holds.
 *
 * a [...], b [...] → out u32, the broadcast shape.
 * @throws ShapeError if the shapes do not broadcast, or the types differ.
 */
export const compare: Kernel<{ fn: Comparison }> = {
  name: "compare",
  parts: cutElementwise,
  infer([a, b], { fn }) {
    requireComparable(fn, a, b);
    return [spec(broadcastShapes(a.shape, b.shape, fn), "u32")];
  },
  cost([a, b], { fn }) {
    const out = spec(broadcastShapes(a.shape, b.shape, fn), "u32");
    return { flops: sizeOf(out.shape), bytes: bytesOf(a, b, out) };
  },
  program([a, b], { fn }, limits) {
    const expression = `T(${compared(OPERATORS[fn], a.dtype)})`;
    return elementwise({ shape: broadcastShapes(a.shape, b.shape, fn), inputs: [["x", a], ["y", b]], expression, dtype: "u32" }, limits);
  },
};

/**
 * Elementwise `and` or `or` of what is not 0, with NumPy's broadcasting.
 *
 * a [...], b [...] of any types → out u32 (0 or 1), the broadcast shape.
 * @throws ShapeError if the shapes do not broadcast.
 */
export const logical: Kernel<{ fn: LogicalFunction }> = {
  name: "logical",
  parts: cutElementwise,
  infer([a, b], { fn }) {
    return [spec(broadcastShapes(a.shape, b.shape, fn), "u32")];
  },
  cost([a, b], { fn }) {
    const out = spec(broadcastShapes(a.shape, b.shape, fn), "u32");
    return { flops: sizeOf(out.shape), bytes: bytesOf(a, b, out) };
  },
  program([a, b], { fn }, limits) {
    const expression = `T(${isTrue("x", a.dtype)} ${fn === "logicalAnd" ? "&" : "|"} ${isTrue("y", b.dtype)})`;
    return elementwise({ shape: broadcastShapes(a.shape, b.shape, fn), inputs: [["x", a], ["y", b]], expression, dtype: "u32" }, limits);
  },
};

/**
 * 1 where an element is 0, and 0 elsewhere.
 *
 * x [...] of any type → [...] u32.
 */
export const logicalNot: Kernel = {
  name: "logicalNot",
  parts: cutElementwise,
  infer([x]) {
    return [spec(x.shape, "u32")];
  },
  cost([x]) {
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, spec(x.shape, "u32")) };
  },
  program([x], _attrs, limits) {
    return elementwise({ shape: x.shape, inputs: [["x", x]], expression: `T(!${isTrue("x", x.dtype)})`, dtype: "u32" }, limits);
  },
};
