import { SightlineError, ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import type { Activation } from "../../kernels/gemm-product.ts";
import { int8Matmul } from "../../kernels/int8-matmul.ts";
import * as kernel from "../../kernels/quantized.ts";
import { run } from "../run.ts";
import { isGradEnabled } from "../tape.ts";
import type { Tensor } from "../tensor.ts";

/** A matrix [R, C] in 8 bits: row r is scales[r] times whole numbers from −127 to 127. */
export interface QuantizedMatrix {
  /** u32 [R, ⌈C/4⌉]: four numbers each, the first in the lowest byte. */
  readonly packed: Tensor;
  /** f32 [R]. */
  readonly scales: Tensor;
  readonly columns: number;
}

/**
 * A matrix in 8 bits, for inference in a quarter of the memory: scale = max |w| / 127 of each row, numbers rounded to the
 * nearest, halves to even. A row that is not finite becomes NaN. No gradient flows.
 * @throws ShapeError if the weight is no matrix of floats.
 */
export function quantize(weight: Tensor): QuantizedMatrix {
  const [packed, scales] = run(kernel.quantize, [weight], {});
  return { packed, scales, columns: weight.shape[1] };
}

/** The matrix [R, C] in f32 that a quantised one stands for. */
export function dequantize({ packed, scales, columns }: QuantizedMatrix): Tensor {
  return run(kernel.dequantize, [packed, scales], { columns })[0];
}

/**
 * Linear layer with a weight in 8 bits, for inference: y = activation(x · weightᵀ + bias).
 *
 * x [..., I], weight [O, I], bias [O] (optional) → y [..., O] of x's type. The weight is unpacked where it is loaded, sums
 * are f32: the only error is the rounding of the weight, about 0.5 % of y for normally distributed weights.
 * @throws ShapeError if the sizes don't fit.
 * @throws SightlineError if x requires a gradient.
 */
export function int8Linear(x: Tensor, weight: QuantizedMatrix, bias?: Tensor, activation: Activation = "none"): Tensor {
  if (isGradEnabled() && (x.requiresGrad || bias?.requiresGrad === true)) {
    throw new SightlineError("int8Linear: weights in 8 bits are for inference, and no gradient flows through them; got an input that requires one", "call it inside noGrad()");
  }
  const [outputs] = weight.scales.shape;
  if (x.shape.at(-1) !== weight.columns) throw new ShapeError(`int8Linear: x must be [...,${weight.columns}] for a weight [${outputs},${weight.columns}]; got ${showShape(x.shape)}`);
  const rows = x.view([x.size / weight.columns, weight.columns]);
  const [y] = run(int8Matmul, [rows, weight.packed, weight.scales, ...(bias === undefined ? [] : [bias])], { activation });
  return y.view([...x.shape.slice(0, -1), outputs]);
}

/**
 * Rows of a table in 8 bits by their numbers, for inference.
 *
 * weight [V, D], ids [...] i32 → [..., D]. An id outside 0 … V − 1 gives a row of NaN.
 * @throws ShapeError if ids are not i32.
 */
export function int8Embedding({ packed, scales, columns }: QuantizedMatrix, ids: Tensor): Tensor {
  return run(kernel.int8Embedding, [packed, scales, ids], { columns })[0];
}
