import * as kernel from "../../kernels/matmul.ts";
import { commonFloat } from "../../kernels/wgsl.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { sumTo } from "./reduce.ts";

/** Which inputs have their last two axes swapped. */
export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const op = defineOp<Required<MatmulOptions>>({
  name: "matmul",
  forward(inputs, attrs) {
    return { outputs: [product(inputs[0], inputs[1], attrs.transposeA, attrs.transposeB)] };
  },
  backward([dOut], { inputs: [a, b], outputs: [out], attrs: { transposeA, transposeB }, needs }) {
    const dy = likeOutput(dOut!, out);
    const da = !needs[0] ? null : transposeA ? product(b, dy, transposeB, true) : product(dy, b, false, !transposeB);
    const db = !needs[1] ? null : gradientOfB(dy, a, b, transposeA, transposeB);
    return [da && sumTo(da, a.shape), db && sumTo(db, b.shape)];
  },
});

/**
 * Matrix product over the last two axes; the others broadcast.
 *
 * a [..., M, K] (or [..., K, M] with `transposeA`), b [..., K, N] (or [..., N, K] with `transposeB`) → [..., M, N].
 * @throws ShapeError if a rank is below 2, the sizes of K differ, or the other axes do not broadcast.
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transposeA = false, transposeB = false } = options;
  return op(lowered(a, b), { transposeA, transposeB })[0];
}

function gradientOfB(dy: Tensor, a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  // One B for a whole batch: its gradient is one long sum, rather than a batch of products to be added up.
  const flat = b.shape.length === 2 && !transposeA;
  const [left, right] = flat ? [rowsOf(a), rowsOf(dy)] : [a, dy];
  return transposeB ? product(right, left, true, transposeA, flat) : product(left, right, !transposeA, false, flat);
}

/** All axes but the last as one. */
function rowsOf(x: Tensor): Tensor {
  const last = x.shape[x.shape.length - 1];
  return x.view([x.size / last, last]);
}

/**
 * The product without tape; where the output is small and the sum long, in parts that are then added up.
 * @param wide Gives f32 although both are f16: for gradients of weights, which an optimiser takes.
 */
export function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean, wide = false): Tensor {
  return multiply(a, b, { transposeA, transposeB, wide, accumulate: false });
}

/** The same written to a tensor, or added to what it holds. */
export function productInto(out: Tensor, a: Tensor, b: Tensor, attrs: Required<MatmulOptions> & { readonly accumulate: boolean }): void {
  multiply(a, b, { ...attrs, wide: out.dtype === "f32" }, [out]);
}

function multiply(a: Tensor, b: Tensor, attrs: Required<MatmulOptions> & { readonly accumulate: boolean; readonly wide: boolean }, into?: readonly Tensor[]): Tensor {
  const splits = kernel.matmulSplits([a, b], attrs, a.device.limits);
  if (splits === 1) return run(kernel.matmul, [a, b], attrs, into)[0];
  const [parts] = run(kernel.matmul, [a, b], { ...attrs, accumulate: false, splits });
  return run(kernel.sumParts, [parts], { dtype: attrs.wide ? "f32" : commonFloat(a, b), accumulate: attrs.accumulate }, into)[0];
}
