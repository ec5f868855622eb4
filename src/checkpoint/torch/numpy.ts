/** NumPy's arrays and scalars as they stand in pickles. */

import type { HostTensor } from "../../core/host-tensor.ts";
import { stridesOf } from "../../core/shape.ts";
import { describeValue, isSequence, type PickleValue, type Refuse } from "./pickle-values.ts";
import { decodeTensor, storedBytes, storedElement, STORED_BYTES, type StoredDType, type StoredTensor } from "../stored.ts";
import { requireShape } from "./tensor.ts";
import { elementWords, stridedRuns } from "./strides.ts";

/** NumPy's codes: kind and bytes of one element. */
const DTYPES: ReadonlyMap<string, StoredDType> = new Map([
  ["f8", "F64"], ["f4", "F32"], ["f2", "F16"],
  ["i8", "I64"], ["i4", "I32"], ["i2", "I16"], ["i1", "I8"],
  ["u4", "U32"], ["u2", "U16"], ["u1", "U8"], ["b1", "BOOL"],
]); // prettier-ignore

/** The element type of an array. */
export class NumpyDType {
  readonly dtype: StoredDType;

  constructor(dtype: StoredDType) {
    this.dtype = dtype;
  }

  /** `numpy.dtype("f4", …)`. @throws through `refuse` if it is none that can be loaded. */
  static fromCode(code: PickleValue | undefined, refuse: Refuse): NumpyDType {
    const dtype = typeof code === "string" ? DTYPES.get(code.replace(/^[<|=]/, "")) : undefined;
    if (dtype === undefined) return refuse(`the dtype of a NumPy array must be one of ${[...DTYPES.keys()].join(", ")}`, describeValue(code));
    return new NumpyDType(dtype);
  }

  /** Takes the state that a pickle gives, of which only the byte order matters. */
  build(state: PickleValue, refuse: Refuse): void {
    const order = isSequence(state) ? state[1] : undefined;
    if (order !== "<" && order !== "|" && order !== "=") refuse("a NumPy array must be little-endian", describeValue(order));
  }

  toString(): string {
    return `the NumPy dtype ${this.dtype}`;
  }
}

/** An array of any rank, as stored. {@link numpyTensor} gives its values. */
export class NumpyArray implements StoredTensor {
  dtype: StoredDType = "U8";
  shape: readonly number[] = [0];
  bytes: Uint8Array = new Uint8Array();
  /** Whether the first index runs fastest (Fortran's order). */
  columnMajor = false;

  /** Takes what a pickle says about the array. @throws through `refuse` if type, shape and bytes don't fit together. */
  fill(type: PickleValue, shape: PickleValue, bytes: PickleValue, columnMajor: boolean, refuse: Refuse): void {
    if (!(type instanceof NumpyDType)) return refuse("a NumPy array needs a dtype", describeValue(type));
    if (!(bytes instanceof Uint8Array)) return refuse("the elements of a NumPy array must be bytes", describeValue(bytes));
    this.shape = requireShape(shape, refuse);
    this.dtype = type.dtype;
    const size = storedBytes(this);
    if (size !== bytes.length) refuse(`a NumPy array of ${this.dtype} [${this.shape.join(", ")}] takes ${size} bytes`, describeValue(bytes));
    this.bytes = bytes;
    this.columnMajor = columnMajor;
  }

  /** Takes the state (version, shape, dtype, is Fortran's order, bytes). */
  build(state: PickleValue, refuse: Refuse): void {
    if (!isSequence(state) || state.length !== 5) return refuse("the state of a NumPy array must be a tuple of 5", describeValue(state));
    const [, shape, type, columnMajor, bytes] = state;
    this.fill(type, shape, bytes, columnMajor === true, refuse);
  }

  toString(): string {
    return `a NumPy array of ${this.dtype} [${this.shape.join(", ")}]`;
  }
}

/** `numpy.core.multiarray.scalar(dtype, bytes)`: a number, or a bigint above 2^53. */
export function numpyScalar(type: PickleValue | undefined, bytes: PickleValue | undefined, refuse: Refuse): PickleValue {
  if (!(type instanceof NumpyDType)) return refuse("a NumPy scalar needs a dtype", describeValue(type));
  if (!(bytes instanceof Uint8Array) || bytes.length !== STORED_BYTES[type.dtype]) {
    return refuse(`a NumPy scalar of ${type.dtype} takes ${STORED_BYTES[type.dtype]} bytes`, describeValue(bytes));
  }
  const value = storedElement(bytes, type.dtype);
  return type.dtype === "BOOL" ? value !== 0 : value;
}

/**
 * The values of an array in row-major order: floats as f32, integers and booleans as i32.
 *
 * @param label File and array, for error messages.
 * @throws CheckpointError if an integer does not fit into 32 bits.
 */
export function numpyTensor(array: NumpyArray, label: string): HostTensor {
  const { dtype, shape, bytes, columnMajor } = array;
  if (!columnMajor || shape.length < 2) return decodeTensor(bytes, array, label);
  const size = STORED_BYTES[dtype];
  const rowMajor = new Uint8Array(bytes.length);
  const { words: to, perElement } = elementWords(rowMajor, size);
  const { words: from } = elementWords(bytes, size);
  const strides = stridesOf([...shape].reverse()).reverse();
  for (const { position, offset, count, positionStep, offsetStep } of stridedRuns(shape, strides, 0, bytes.length / size)) {
    for (let i = 0; i < count; i++) {
      for (let word = 0; word < perElement; word++) to[(position + i * positionStep) * perElement + word] = from[(offset + i * offsetStep) * perElement + word];
    }
  }
  return decodeTensor(rowMajor, array, label);
}
