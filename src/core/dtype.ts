/** Element types that a tensor can have on the device. */
export type DType = "f32" | "i32" | "u32";

/** The typed array that holds a dtype on the host. */
export type TypedArrayOf<D extends DType> = D extends "f32" ? Float32Array : D extends "i32" ? Int32Array : Uint32Array;
export type TypedArray = Float32Array | Int32Array | Uint32Array;

const CONSTRUCTORS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array } as const;

/** Bytes of one element. */
export function bytesPerElement(dtype: DType): number {
  return CONSTRUCTORS[dtype].BYTES_PER_ELEMENT;
}

/** A typed array of `length` zeros, or a view of `buffer`. */
export function typedArray<D extends DType>(dtype: D, source: number | ArrayBuffer | readonly number[]): TypedArrayOf<D> {
  const Constructor = CONSTRUCTORS[dtype] as new (source: number | ArrayBuffer | readonly number[]) => TypedArray;
  return new Constructor(source) as TypedArrayOf<D>;
}

/** The dtype that a typed array holds. */
export function dtypeOf(data: TypedArray): DType {
  if (data instanceof Float32Array) return "f32";
  return data instanceof Int32Array ? "i32" : "u32";
}
