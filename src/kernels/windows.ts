/**
 * Cutting the work of kernels whose tensors are larger than what an adapter binds at once: by default 128 MiB, where the
 * word embedding of GPT-2 has 147.
 */

import { bytesPerElement, storageBytes } from "../core/dtype.ts";
import { sizeOf, type Shape } from "../core/shape.ts";
import type { Kernel, KernelLimits, Part, TensorSpec, Window } from "./kernel.ts";

/** Bytes at whose multiples a binding may begin on every adapter. */
export const BINDING_ALIGNMENT = 256;

/** Numbers `begin` … `end` − 1. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/** Whether an adapter can bind the whole tensor. */
export function isBindable({ shape, dtype }: TensorSpec, limits: KernelLimits): boolean {
  return storageBytes(sizeOf(shape), dtype, limits.emulateF16) <= limits.maxStorageBufferBindingSize;
}

/** A tensor as a window that shows all of it. */
export function whole({ shape, dtype }: TensorSpec): Window {
  return { shape, dtype, begin: 0 };
}

/** A tensor as one matrix: all axes but the last as one. */
export function asMatrix({ shape, dtype }: TensorSpec): TensorSpec {
  const columns = shape[shape.length - 1];
  return { shape: [sizeOf(shape) / columns, columns], dtype };
}

/** The rows of a range, where a row is all that lies at one index of the first axis. */
export function rowWindow({ shape, dtype }: TensorSpec, { begin, end }: Range): Window {
  return { shape: shape.with(0, end - begin), dtype, begin: begin * sizeOf(shape.slice(1)) };
}

/**
 * Cuts the first axis that some tensors share: into as few ranges as can be bound, of about one size, each beginning where
 * a binding may. Null where not even the smallest ones can.
 */
export function cutRows(tensors: readonly TensorSpec[], limits: KernelLimits): Range[] | null {
  const [rows] = tensors[0].shape;
  if (tensors.every((tensor) => isBindable(tensor, limits))) return [{ begin: 0, end: rows }];
  const rowBytes = tensors.map(({ shape, dtype }) => sizeOf(shape.slice(1)) * bytesPerElement(dtype, limits.emulateF16));
  const step = Math.max(...rowBytes.map(rowStep)); // powers of two: the largest is a multiple of the others
  const most = Math.floor(limits.maxStorageBufferBindingSize / Math.max(...rowBytes) / step) * step;
  return most === 0 ? null : rangesOf(rows, Math.ceil(Math.ceil(rows / Math.ceil(rows / most)) / step) * step);
}

/** Ranges of `size` from 0 to `end`; the last may be shorter. */
export function rangesOf(end: number, size: number): Range[] {
  return Array.from({ length: Math.ceil(end / size) }, (_, i) => ({ begin: i * size, end: Math.min(end, (i + 1) * size) }));
}

/** Rows from one that begins where a binding may to the next such one. */
export function rowStep(rowBytes: number): number {
  let step = BINDING_ALIGNMENT;
  while (step > 1 && (rowBytes * step) % (2 * BINDING_ALIGNMENT) === 0) step /= 2;
  return step;
}

/**
 * `parts` of a kernel that makes each element of its output (or changes each of its first input) from those of its inputs
 * that broadcast to it.
 */
export function cutElementwise<Attrs>(this: Kernel<Attrs>, inputs: readonly TensorSpec[], attrs: Attrs, limits: KernelLimits): readonly Part<Attrs>[] | null {
  const outputs = this.infer(inputs, attrs);
  const cuts = elementwiseWindows([...inputs, ...outputs], (outputs[0] ?? inputs[0]).shape, limits);
  return cuts && cuts.map((windows) => ({ windows, attrs }));
}

/**
 * Windows of tensors that broadcast to a shape, for each part of it: along its first axis, or anywhere where nothing is
 * stretched. What the shape is cut across is shown whole. Null where that does not make them small enough.
 */
export function elementwiseWindows(tensors: readonly TensorSpec[], shape: Shape, limits: KernelLimits): Window[][] | null {
  const size = sizeOf(shape);
  const flat = tensors.every((tensor) => sizeOf(tensor.shape) === size || sizeOf(tensor.shape) === 1);
  const axes = flat ? [size] : shape.slice(leadingOnes(shape));
  return alignedWindows(tensors.map((tensor) => (sizeOf(tensor.shape) === size ? { ...tensor, shape: axes } : tensor)), axes, limits);
}

/** The same along the first of the given axes, which tensors share that have as many; null as above. */
export function alignedWindows(tensors: readonly TensorSpec[], axes: Shape, limits: KernelLimits): Window[][] | null {
  const aligned = tensors.map((tensor) => withRank(tensor, axes.length));
  const isCut = ({ shape }: TensorSpec): boolean => shape.length === axes.length && shape[0] === axes[0];
  const ranges = cutRows(aligned.filter(isCut), limits);
  if (ranges === null || !aligned.every((tensor) => isCut(tensor) || isBindable(tensor, limits))) return null;
  return ranges.map((range) => aligned.map((tensor) => (isCut(tensor) ? rowWindow(tensor, range) : whole(tensor))));
}

/** A tensor of at most that many axes: what is left out has size 1. */
function withRank(tensor: TensorSpec, rank: number): TensorSpec {
  return { ...tensor, shape: tensor.shape.slice(-rank) };
}

/** Parts along the first axis, which all tensors but scalars share; null where a row is too large. */
export function cutFirstAxis<Attrs>(tensors: readonly TensorSpec[], attrs: Attrs, limits: KernelLimits): Part<Attrs>[] | null {
  const isCut = ({ shape }: TensorSpec): boolean => shape.length > 0;
  const ranges = cutRows(tensors.filter(isCut), limits);
  return ranges && ranges.map((range) => ({ windows: tensors.map((tensor) => (isCut(tensor) ? rowWindow(tensor, range) : whole(tensor))), attrs }));
}

function leadingOnes(shape: Shape): number {
  const first = shape.findIndex((n) => n !== 1);
  return first < 0 ? 0 : first;
}
