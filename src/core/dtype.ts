import { fromFloat16Bits, toFloat16Bits } from "./float16.ts";

/** Element types of tensors on the host. */
export type HostDType = "f32" | "i32" | "u32";

/** Element types that a tensor can have on the device. Values of f16 are f32 on the host, and in every computation. */
export type DType = HostDType | "f16";

/** The typed array that holds a dtype on the host. */
export type TypedArrayOf<D extends DType> = D extends "f32" | "f16" ? Float32Array : D extends "i32" ? Int32Array : Uint32Array;
export type TypedArray = Float32Array | Int32Array | Uint32Array;

const CONSTRUCTORS = { f32: Float32Array, f16: Float32Array, i32: Int32Array, u32: Uint32Array } as const;

/** Bytes of one element on the device; 4 for an f16 that is only emulated. */
export function bytesPerElement(dtype: DType, emulated = false): number {
  return dtype === "f16" && !emulated ? 2 : 4;
}

/** Bytes of a tensor on the device: whole 32-bit words. */
export function storageBytes(size: number, dtype: DType, emulated = false): number {
  return 4 * Math.ceil((size * bytesPerElement(dtype, emulated)) / 4);
}

/** Whether a dtype holds real numbers, through which gradients flow. */
export function isFloat(dtype: DType): boolean {
  return dtype === "f32" || dtype === "f16";
}

/** The dtype in which values of a device's dtype are held on the host. */
export function hostDType(dtype: DType): HostDType {
  return dtype === "f16" ? "f32" : dtype;
}

/** A typed array of `length` zeros, or a view of `buffer`. */
export function typedArray<D extends DType>(dtype: D, source: number | ArrayBuffer | readonly number[]): TypedArrayOf<D> {
  const Constructor = CONSTRUCTORS[dtype] as new (source: number | ArrayBuffer | readonly number[]) => TypedArray;
  return new Constructor(source) as TypedArrayOf<D>;
}

/** The dtype that a typed array holds. */
export function dtypeOf(data: TypedArray): HostDType {
  if (data instanceof Float32Array) return "f32";
  return data instanceof Int32Array ? "i32" : "u32";
}

/**
 * Values as the device stores them: f16 as 16 bits each, filled up to whole 32-bit words (emulated: rounded to f16), the
 * rest as they are.
 */
export function encode(data: TypedArray, dtype: DType, emulated = false): ArrayBufferView {
  if (dtype !== "f16") return data;
  if (emulated) return data.map((value) => fromFloat16Bits(toFloat16Bits(value)));
  const bits = new Uint16Array(2 * Math.ceil(data.length / 2));
  for (let i = 0; i < data.length; i++) bits[i] = toFloat16Bits(data[i]);
  return bits;
}

/** The `length` values that the device's bytes hold. */
export function decode<D extends DType>(bytes: ArrayBuffer, dtype: D, length: number, emulated = false): TypedArrayOf<D> {
  if (dtype !== "f16" || emulated) return typedArray(dtype, bytes);
  return Float32Array.from(new Uint16Array(bytes, 0, length), fromFloat16Bits) as TypedArrayOf<D>;
}
