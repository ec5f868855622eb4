import type { HostDType, TypedArray } from "./dtype.ts";
import type { Shape } from "./shape.ts";

/** A tensor on the host: what state dicts and checkpoints hold. */
export interface HostTensor {
  readonly dtype: HostDType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

/** Values for an input of a recorded step; the array says the type. */
export type HostInput = Pick<HostTensor, "shape" | "data">;
