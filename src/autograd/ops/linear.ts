import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import * as kernel from "../../kernels/matmul.ts";
import { likeOutput, lowered } from "../autocast.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { product } from "./matmul.ts";
import { sumTo } from "./reduce.ts";

interface Attrs {
  /** The weight is [I, O] instead of [O, I]. */
  readonly inputFirst: boolean;
}

const op = defineOp<Attrs>({
  name: "linear",
  forward([x, weight, ...bias], { inputFirst }) {
    const [y] = run(kernel.matmul, [rowsOf(x), weight, ...bias], { transposeB: !inputFirst, bias: bias.length > 0 });
    return { outputs: [y.view([...x.shape.slice(0, -1), weight.shape[inputFirst ? 1 : 0]])] };
  },
  backward([dy], { inputs: [x, weight, bias], outputs: [y], needs, attrs: { inputFirst } }) {
    const rows = rowsOf(likeOutput(dy!, y));
    const dweight = (): Tensor => (inputFirst ? product(rowsOf(x), rows, true, false, true) : product(rows, rowsOf(x), true, false, true));
    return [
      needs[0] ? product(rows, weight, false, inputFirst).view(x.shape) : null,
      needs[1] ? dweight() : null,
      needs[2] ? sumTo(rows, bias.shape) : null,
    ];
  },
});

export interface LinearOptions {
  /** The weight is [I, O], as GPT-2 keeps it, instead of [O, I]. Default false. */
  readonly inputFirst?: boolean;
}

/**
 * Linear layer: y = x · weightᵀ + bias over the last axis.
 *
 * x [..., I], weight [O, I] (or [I, O] with `inputFirst`), bias [O] (optional) → y [..., O].
 * @throws ShapeError if x is a scalar, weight has not two axes, or the sizes don't fit.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor, { inputFirst = false }: LinearOptions = {}): Tensor {
  if (weight.shape.length !== 2 || x.shape.length === 0 || x.shape.at(-1) !== weight.shape[inputFirst ? 0 : 1]) {
    throw new ShapeError(`linear: weight must be ${inputFirst ? "[I,O]" : "[O,I]"} for an input [...,I]; got ${showShape(weight.shape)} for ${showShape(x.shape)}`);
  }
  return op([...lowered(x, weight), ...(bias === undefined ? [] : [bias])], { inputFirst })[0];
}

/** All axes but the last as one. */
function rowsOf(x: Tensor): Tensor {
  const last = x.shape[x.shape.length - 1];
  return x.view([x.size / last, last]);
}
