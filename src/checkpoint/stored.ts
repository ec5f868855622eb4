/** Elements as files store them, and what they become on the host. */

import { typedArray, type HostDType, type TypedArray } from "../core/dtype.ts";
import { CheckpointError } from "../core/errors.ts";
import { fromFloat16Bits, toFloat16Bits } from "../core/float16.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sizeOf } from "../core/shape.ts";

const VIEWS: Record<HostDType, new (buffer: ArrayBufferLike, byteOffset: number, length: number) => TypedArray> = {
  f32: Float32Array,
  i32: Int32Array,
  u32: Uint32Array,
};
const bf16Bits = new Uint32Array(1);
const bf16Value = new Float32Array(bf16Bits.buffer);

interface StoredFormat {
  /** Bytes of one stored element. */
  readonly bytes: number;
  /** What the element becomes on the host. */
  readonly dtype: HostDType;
  readonly read: (view: DataView, at: number) => number;
  readonly write: (view: DataView, at: number, value: number) => void;
}

const FORMATS = {
  F64: { bytes: 8, dtype: "f32", read: (view, at) => view.getFloat64(at, true), write: (view, at, value) => view.setFloat64(at, value, true) },
  F32: { bytes: 4, dtype: "f32", read: (view, at) => view.getFloat32(at, true), write: (view, at, value) => view.setFloat32(at, value, true) },
  F16: { bytes: 2, dtype: "f32", read: (view, at) => fromFloat16Bits(view.getUint16(at, true)), write: (view, at, value) => view.setUint16(at, toFloat16Bits(value), true) },
  BF16: { bytes: 2, dtype: "f32", read: (view, at) => fromBF16(view.getUint16(at, true)), write: (view, at, value) => view.setUint16(at, toBF16(value), true) },
  I64: { bytes: 8, dtype: "i32", read: (view, at) => view.getInt32(at + 4, true) * 2 ** 32 + view.getUint32(at, true), write: (view, at, value) => view.setBigInt64(at, BigInt(value), true) },
  I32: { bytes: 4, dtype: "i32", read: (view, at) => view.getInt32(at, true), write: (view, at, value) => view.setInt32(at, value, true) },
  I16: { bytes: 2, dtype: "i32", read: (view, at) => view.getInt16(at, true), write: (view, at, value) => view.setInt16(at, value, true) },
  I8: { bytes: 1, dtype: "i32", read: (view, at) => view.getInt8(at), write: (view, at, value) => view.setInt8(at, value) },
  U32: { bytes: 4, dtype: "u32", read: (view, at) => view.getUint32(at, true), write: (view, at, value) => view.setUint32(at, value, true) },
  U16: { bytes: 2, dtype: "i32", read: (view, at) => view.getUint16(at, true), write: (view, at, value) => view.setUint16(at, value, true) },
  U8: { bytes: 1, dtype: "i32", read: (view, at) => view.getUint8(at), write: (view, at, value) => view.setUint8(at, value) },
  BOOL: { bytes: 1, dtype: "i32", read: (view, at) => (view.getUint8(at) === 0 ? 0 : 1), write: (view, at, value) => view.setUint8(at, value) },
} as const satisfies Record<string, StoredFormat>;

/** Element types that a file may hold and this library can load, by their names in safetensors. */
export type StoredDType = keyof typeof FORMATS;

/** A tensor in a file. */
export interface StoredTensor {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
}

/** Bytes of one stored element. */
export const STORED_BYTES = Object.fromEntries(Object.entries(FORMATS).map(([dtype, { bytes }]) => [dtype, bytes])) as Record<StoredDType, number>;

/** Bytes of a whole tensor in a file. */
export function storedBytes({ dtype, shape }: StoredTensor): number {
  return STORED_BYTES[dtype] * sizeOf(shape);
}

/** The one element that these bytes hold, exact as far as a double goes. */
export function storedElement(bytes: Uint8Array, dtype: StoredDType): number {
  return FORMATS[dtype].read(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
}

/** What elements of a stored type become on the host. */
export function hostDTypeOf(dtype: StoredDType): HostDType {
  return FORMATS[dtype].dtype;
}

function fromBF16(bits: number): number {
  bf16Bits[0] = bits << 16;
  return bf16Value[0];
}

/** The upper half of the nearest f32 that fits into it; ties go to the even one. */
function toBF16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  bf16Value[0] = value;
  const bits = bf16Bits[0];
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/**
 * Turns a tensor's stored bytes into a typed array: floats to f32, integers and booleans to i32, U32 to u32.
 *
 * F32, I32 and U32 become a view of `bytes` where they lie on a four-byte boundary; all else is copied. F64 is rounded to
 * f32 (values beyond its range to infinity). A BOOL is 1 for every byte but 0.
 * @param bytes Exactly the tensor's bytes.
 * @param label File and tensor, for error messages.
 * @param first Number of the first element in its tensor, for error messages, where the bytes are a part of one.
 * @throws CheckpointError if an integer does not fit into i32.
 */
export function decodeTensor(bytes: Uint8Array, entry: StoredTensor, label: string, first = 0): HostTensor {
  const { bytes: size, dtype, read }: StoredFormat = FORMATS[entry.dtype];
  const length = bytes.length / size;
  if (entry.dtype === dtype.toUpperCase()) {
    const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
    return { dtype, shape: entry.shape, data: new VIEWS[dtype](aligned.buffer, aligned.byteOffset, length) };
  }
  const data = typedArray(dtype, length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0; i < length; i++) {
    const value = read(view, i * size);
    data[i] = value;
    if (dtype === "i32" && data[i] !== value) {
      const hint = "this library holds integers in 32 bits; store smaller numbers, or floats";
      throw new CheckpointError(`${label}: every ${entry.dtype} must fit into 32 bits; got ${value} at element ${first + i}`, hint);
    }
  }
  return { dtype, shape: entry.shape, data };
}

/**
 * Turns values into a tensor's stored bytes: the way back from {@link decodeTensor}.
 *
 * A view of `data` where nothing has to be converted. f16 and bf16 are rounded to the nearest; what lies beyond their range
 * becomes infinite. Integers must lie in the range of the type.
 */
export function encodeTensor(data: TypedArray, dtype: StoredDType): Uint8Array {
  const { bytes: size, write, dtype: host }: StoredFormat = FORMATS[dtype];
  if (dtype === host.toUpperCase() && data instanceof VIEWS[host]) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const bytes = new Uint8Array(data.length * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < data.length; i++) write(view, i * size, data[i]);
  return bytes;
}
