import { ShapeError } from "../../core/errors.ts";
import { showShape } from "../../core/shape.ts";
import { slice as sliceKernel, spread } from "../../kernels/slice.ts";
import { defineOp } from "../op.ts";
import { run } from "../run.ts";
import type { Tensor } from "../tensor.ts";
import { concat } from "./concat.ts";
import { expand } from "./reduce.ts";
import { flip, slice } from "./slice.ts";

/** What stands in the padding: a number, the values mirrored at the edge (without it), the edge itself, or the other end. */
export type PadMode = "constant" | "reflect" | "replicate" | "circular";

/** Places added before and after the values of an axis; negative ones take some away. */
export type Padding = readonly [before: number, after: number];

const padConstant = defineOp<{ axis: number; before: number; size: number; value: number }>({
  name: "pad",
  forward(inputs, { before, ...attrs }) {
    return { outputs: run(spread, inputs, { ...attrs, start: before }) };
  },
  backward([dy], { inputs: [x], attrs: { axis, before } }) {
    return run(sliceKernel, [dy!], { axis, start: before, end: before + x.shape[axis] });
  },
});

/**
 * Puts places around the values of the last axes.
 *
 * x [..., n, ...] → [..., before + n + after, ...].
 * @param padding One pair for each of the last axes, in the axes' order (PyTorch's flat list begins with the last axis).
 * @param value What stands in a constant padding.
 * @throws ShapeError if there are more pairs than axes, if nothing is left of an axis, or if a reflected or circular
 *   padding is longer than what it repeats.
 * Source: the same result as torch.nn.functional.pad.
 */
export function pad(x: Tensor, padding: readonly Padding[], mode: PadMode = "constant", value = 0): Tensor {
  if (padding.length > x.shape.length) throw new ShapeError(`pad: there must be at most ${x.shape.length} pairs for ${showShape(x.shape)}; got ${padding.length}`);
  const first = x.shape.length - padding.length;
  return padding.reduce((padded, [before, after], i) => padAxis(padded, first + i, before, after, mode, value), x);
}

function padAxis(x: Tensor, axis: number, before: number, after: number, mode: PadMode, value: number): Tensor {
  const n = x.shape[axis];
  const most = { constant: Infinity, reflect: n - 1, replicate: Infinity, circular: n }[mode];
  if (![before, after].every((count) => Number.isInteger(count) && count <= most) || n + Math.min(before, 0) + Math.min(after, 0) < 1) {
    throw new ShapeError(`pad: a ${mode} padding must be of whole numbers up to ${most}, and leave something of axis ${axis} of ${showShape(x.shape)}; got ${before} and ${after}`);
  }
  const [start, end] = [Math.max(0, -before), n + Math.min(0, after)];
  const kept = start === 0 && end === n ? x : slice(x, axis, start, end);
  const [added, behind] = [Math.max(0, before), Math.max(0, after)];
  if (added === 0 && behind === 0) return kept;
  if (mode === "constant") return padConstant([kept], { axis, before: added, size: added + kept.shape[axis] + behind, value })[0];
  const last = kept.shape[axis];
  const repeated = (from: number, count: number): Tensor => expand(slice(kept, axis, from, from + 1), kept.shape.with(axis, count));
  const part = (from: number, count: number): Tensor => (mode === "circular" ? slice(kept, axis, from, from + count) : flip(slice(kept, axis, from, from + count), axis));
  const [head, tail] = {
    reflect: [() => part(1, added), () => part(last - 1 - behind, behind)],
    replicate: [() => repeated(0, added), () => repeated(last - 1, behind)],
    circular: [() => part(last - added, added), () => part(0, behind)],
  }[mode];
  return concat([...(added > 0 ? [head()] : []), kept, ...(behind > 0 ? [tail()] : [])], axis);
}
