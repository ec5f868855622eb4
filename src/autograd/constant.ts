import { isFloat } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import { full, type Tensor } from "./tensor.ts";

/**
 * A scalar of a tensor's type, to compute with it: for constants, not for what varies between steps.
 * @throws ShapeError if the type cannot hold the number.
 */
export function scalarLike(x: Tensor, value: number, what: string): Tensor {
  const [low, high] = x.dtype === "u32" ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  if (!isFloat(x.dtype) && !(Number.isInteger(value) && value >= low && value <= high)) {
    throw new ShapeError(`${what}: beside ${x.dtype} there must be a whole number in ${low}..${high}; got ${value}`);
  }
  return full(x.device, [], value, x.dtype);
}
