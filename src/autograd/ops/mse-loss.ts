import { ShapeError } from "../../core/errors.ts";
import { sameShape, showShape } from "../../core/shape.ts";
import type { Tensor } from "../tensor.ts";
import { sub } from "./binary.ts";
import { mean } from "./reduce.ts";
import { square } from "./unary.ts";

/**
 * Mean of (x − y)² over all elements, a scalar.
 * @throws ShapeError if the shapes differ: broadcasting a target is nearly always a mistake.
 */
export function mseLoss(x: Tensor, y: Tensor): Tensor {
  if (!sameShape(x.shape, y.shape)) throw new ShapeError(`mseLoss: both tensors must have one shape; got ${showShape(x.shape)} and ${showShape(y.shape)}`);
  return mean(square(sub(x, y)));
}
