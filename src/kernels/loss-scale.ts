import type { Kernel } from "./kernel.ts";
import { bindings, f32 } from "./wgsl.ts";

/** How a loss scale follows overflows. */
export interface LossScaleAttrs {
  /** Factor after `interval` steps without overflow. */
  readonly growth: number;
  /** Factor after a step with overflow. */
  readonly backoff: number;
  readonly interval: number;
}

/** Never above what f32 multiplies without overflow, never below what keeps small gradients in range. */
const [LEAST, MOST] = [2 ** -14, 2 ** 24];

/**
 * Moves a loss scale after a step: down where a gradient overflowed, up after `interval` steps where none did.
 *
 * state [3] (changed in place: scale, steps since the last change, 1 where this step overflowed) → no outputs.
 * Source: Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740; torch.amp.GradScaler.
 */
export const updateLossScale: Kernel<LossScaleAttrs> = {
  name: "updateLossScale",
  updates: [0],
  infer: () => [],
  cost: () => ({ flops: 4, bytes: 24 }),
  program: (_inputs, { growth, backoff, interval }) => ({
    wgsl: `${bindings([], [["state", "f32"]])}

@compute @workgroup_size(1)
fn main() {
  let steps = state[1] + 1.0;
  let overflowed = state[2] != 0.0;
  let grows = steps >= ${f32(interval)};
  let factor = select(select(1.0f, ${f32(growth)}, grows), ${f32(backoff)}, overflowed);
  state[0] = clamp(state[0] * factor, ${f32(LEAST)}, ${f32(MOST)});
  state[1] = select(steps, 0.0, overflowed || grows);
  state[2] = 0.0;
}`,
    grid: [1, 1, 1],
  }),
};
