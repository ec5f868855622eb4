import { compare as compareKernel, logical as logicalKernel, logicalNot as logicalNotKernel, type Comparison, type LogicalFunction } from "../../kernels/compare.ts";
import { scalarLike } from "../constant.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";

function compare(fn: Comparison, a: Tensor, b: Tensor | number): Tensor {
  return run(compareKernel, [a, typeof b === "number" ? scalarLike(a, b, fn) : b], { fn })[0];
}

function logical(fn: LogicalFunction, a: Tensor, b: Tensor): Tensor {
  return run(logicalKernel, [a, b], { fn })[0];
}

/**
 * 1 where a = b, 0 elsewhere (u32), with NumPy's broadcasting. A NaN equals nothing.
 * @throws ShapeError if the shapes do not broadcast, or the types differ.
 */
export function equal(a: Tensor, b: Tensor | number): Tensor {
  return compare("equal", a, b);
}

/** 1 where a ≠ b; as {@link equal}. @throws ShapeError if the shapes do not broadcast, or the types differ. */
export function notEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare("notEqual", a, b);
}

/** 1 where a < b; as {@link equal}. @throws ShapeError if the shapes do not broadcast, or the types differ. */
export function less(a: Tensor, b: Tensor | number): Tensor {
  return compare("less", a, b);
}

/** 1 where a ≤ b; as {@link equal}. @throws ShapeError if the shapes do not broadcast, or the types differ. */
export function lessEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare("lessEqual", a, b);
}

/** 1 where a > b; as {@link equal}. @throws ShapeError if the shapes do not broadcast, or the types differ. */
export function greater(a: Tensor, b: Tensor | number): Tensor {
  return compare("greater", a, b);
}

/** 1 where a ≥ b; as {@link equal}. @throws ShapeError if the shapes do not broadcast, or the types differ. */
export function greaterEqual(a: Tensor, b: Tensor | number): Tensor {
  return compare("greaterEqual", a, b);
}

/**
 * 1 where neither is 0, 0 elsewhere (u32), with NumPy's broadcasting.
 * @throws ShapeError if the shapes do not broadcast.
 */
export function logicalAnd(a: Tensor, b: Tensor): Tensor {
  return logical("logicalAnd", a, b);
}

/** 1 where one or both are not 0; as {@link logicalAnd}. @throws ShapeError if the shapes do not broadcast. */
export function logicalOr(a: Tensor, b: Tensor): Tensor {
  return logical("logicalOr", a, b);
}

/** 1 where x is 0, 0 elsewhere (u32). */
export function logicalNot(x: Tensor): Tensor {
  return run(logicalNotKernel, [x], {})[0];
}
