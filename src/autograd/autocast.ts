import { SightlineError } from "../core/errors.ts";
import type { Recording } from "../device/recording.ts";
import { cast as kernel } from "../kernels/cast.ts";
import { cast } from "./ops/cast.ts";
import { requireF16, run } from "./run.ts";
import { isGradEnabled } from "./tape.ts";
import type { Tensor } from "./tensor.ts";

/** A tensor in f16, and where it can be used again. */
interface Lowered {
  readonly tensor: Tensor;
  /** The recording that it belongs to; null outside. */
  readonly tracing: Recording | null;
  /** Whether gradients flow through it. */
  readonly grad: boolean;
}

/** What was cast since the innermost {@link autocast} began: a weight that is used twice is cast once. */
let casts: Map<Tensor, Lowered> | null = null;

/**
 * Runs `action` in mixed precision: matrix products, convolutions and attention read and write f16, everything else goes
 * by the types of what it gets; sums, normalisations and losses are computed in f32 as always. Parameters stay f32, and so
 * do their gradients. For training, scale the loss with a `LossScaler`.
 * @param action Must not be asynchronous. Parameters must not change in it, other than by an optimiser's step.
 * @throws DeviceError where an op meets an adapter without `shader-f16`.
 */
export function autocast<T>(action: () => T): T {
  const before = casts;
  casts = new Map();
  try {
    const result = action();
    if (result instanceof Promise) throw new SightlineError("autocast: the function must not be asynchronous", "await outside of it");
    return result;
  } finally {
    casts = before;
  }
}

/** A way to run something later in the precision of now: mixed or not. */
export function precisionOfNow(): <T>(action: () => T) => T {
  const then = casts;
  return (action) => {
    const before = casts;
    casts = then;
    try {
      return action();
    } finally {
      casts = before;
    }
  };
}

/** Lets parameters be cast anew: they have changed. */
export function forgetCasts(): void {
  casts?.clear();
}

/** The inputs of an op that is worth doing in f16: cast where {@link autocast} is on, as they are otherwise. */
export function lowered<T extends readonly Tensor[]>(...inputs: T): T {
  const known = casts;
  if (known === null) return inputs;
  return inputs.map((input) => (input.dtype === "f32" ? lower(input, known) : input)) as unknown as T;
}

function lower(input: Tensor, known: Map<Tensor, Lowered>): Tensor {
  requireF16(input.device);
  const { tracing } = input.device;
  const grad = isGradEnabled() && input.requiresGrad;
  const found = known.get(input);
  const usable = found !== undefined && found.tracing === tracing && found.grad === grad && (tracing !== null || found.tensor.storage.placed !== null);
  if (usable) return found.tensor;
  const tensor = cast(input, "f16");
  known.set(input, { tensor, tracing, grad });
  return tensor;
}

/** A gradient in the type of the output that it belongs to, so that products backward run in f16 where they did forward. */
export function likeOutput(dy: Tensor, { dtype }: Tensor): Tensor {
  return dy.dtype === dtype ? dy : run(kernel, [dy], { dtype })[0];
}
