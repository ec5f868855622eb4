/** Walks over tensors whose elements do not lie in row-major order. */

import { stridesOf } from "../../core/shape.ts";

/** Elements in one straight line: element i is number `position + i · positionStep` of the tensor, `offset + i · offsetStep` of the memory. */
export interface StridedRun {
  readonly position: number;
  readonly offset: number;
  readonly count: number;
  readonly positionStep: number;
  readonly offsetStep: number;
}

/** Whether the elements lie side by side in row-major order; the stride of an axis of size 1 does not matter. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  const expected = stridesOf(shape);
  return shape.includes(0) || shape.every((size, axis) => size === 1 || strides[axis] === expected[axis]);
}

/**
 * The elements [begin, end) of a tensor, in row-major numbering, in an order that goes through the memory as steadily as
 * the strides allow: a file can then be read window by window, and a transposed matrix takes one pass.
 *
 * @param shape Sizes of the axes.
 * @param strides Elements of the memory from one index of an axis to the next, 0 or more.
 */
export function* stridedRuns(shape: readonly number[], strides: readonly number[], begin: number, end: number): Generator<StridedRun> {
  if (begin >= end) return;
  const steps = stridesOf(shape);
  let position = 0;
  let offset = 0;
  const axes: { size: number; step: number; stride: number }[] = [];
  for (let axis = 0; axis < shape.length; axis++) {
    let size = shape[axis];
    // Axes before the first one along which the range has several indices are fixed; along that one it takes some.
    if (axes.length === 0) {
      const first = Math.floor((begin - position) / steps[axis]);
      size = Math.floor((end - 1 - position) / steps[axis]) - first + 1;
      position += first * steps[axis];
      offset += first * strides[axis];
    }
    if (size > 1) axes.push({ size, step: steps[axis], stride: strides[axis] });
  }
  axes.sort((a, b) => b.stride - a.stride);
  const inner = axes.pop() ?? { size: 1, step: 1, stride: 0 };
  const index = axes.map(() => 0);
  for (;;) {
    const first = Math.max(0, Math.ceil((begin - position) / inner.step));
    const last = Math.min(inner.size, Math.ceil((end - position) / inner.step));
    if (first < last) {
      const start = { position: position + first * inner.step, offset: offset + first * inner.stride };
      yield { ...start, count: last - first, positionStep: inner.step, offsetStep: inner.stride };
    }
    let axis = axes.length - 1;
    for (; axis >= 0; axis--) {
      const { size, step, stride } = axes[axis];
      position += step;
      offset += stride;
      if (++index[axis] < size) break;
      index[axis] = 0;
      position -= size * step;
      offset -= size * stride;
    }
    if (axis < 0) return;
  }
}

type Words = Uint8Array | Uint16Array | Uint32Array;

/** Arrays of words by their bytes. */
const WORDS: Readonly<Record<number, new (buffer: ArrayBufferLike, byteOffset: number, length: number) => Words>> = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array };

/** The bytes of whole elements as words of up to 32 bits, by which they are copied fast. */
export interface ElementWords {
  readonly words: Words;
  /** Words of one element: 2 where it has 8 bytes. */
  readonly perElement: number;
}

/** @param elementBytes 1, 2, 4 or 8. The words are a view of `bytes` if these lie on a boundary of words, or else a copy. */
export function elementWords(bytes: Uint8Array, elementBytes: number): ElementWords {
  const wordBytes = Math.min(4, elementBytes);
  const aligned = bytes.byteOffset % wordBytes === 0 ? bytes : bytes.slice();
  const words = new WORDS[wordBytes](aligned.buffer, aligned.byteOffset, aligned.length / wordBytes);
  return { words, perElement: elementBytes / wordBytes };
}
