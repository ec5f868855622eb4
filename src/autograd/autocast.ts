import { cast as kernel } from "../kernels/cast.ts";
import { cast } from "./ops/cast.ts";
import { requireF16, run } from "./run.ts";
import type { Tensor } from "./tensor.ts";

/** What was cast since the innermost {@link autocast} began: a weight that is used twice is cast once. */
let casts: Map<Tensor, Tensor> | null = null;

/**
 * Runs `action` in mixed precision: matrix products, convolutions and attention read and write f16, everything else keeps
 * the type of what it gets; sums, normalisations and losses are computed in f32 as always. Parameters stay f32, and so
 * do their gradients. For training, scale the loss with a `LossScaler`.
 * @throws DeviceError where an op meets an adapter without `shader-f16`.
 */
export function autocast<T>(action: () => T): T {
  const before = casts;
  casts = new Map();
  try {
    return action();
  } finally {
    casts = before;
  }
}

/** The inputs of an op that is worth doing in f16: cast where {@link autocast} is on, as they are otherwise. */
export function lowered<T extends readonly Tensor[]>(...inputs: T): T {
  const known = casts;
  if (known === null) return inputs;
  return inputs.map((input) => {
    if (input.dtype !== "f32") return input;
    requireF16(input.device);
    const found = known.get(input) ?? cast(input, "f16");
    known.set(input, found);
    return found;
  }) as unknown as T;
}

/** A gradient in the type of the output that it belongs to, so that products backward run in f16 where they did forward. */
export function likeOutput(dy: Tensor, { dtype }: Tensor): Tensor {
  return dy.dtype === dtype ? dy : run(kernel, [dy], { dtype })[0];
}
