import { sizeOf } from "../core/shape.ts";
import type { Kernel, KernelLimits } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, spec, workgroupNumber } from "./wgsl.ts";
import { cutRows, rowWindow, type Range } from "./windows.ts";

const LANES = 64; // sums come in multiples of it: 256 bytes, so that those of several ranges lie side by side
const VECTORS = 16; // that a thread should have to add at least
const MAX_GROUPS = { cooperative: 512, alone: 4 }; // enough to fill a large GPU; a few a core
const FINAL_LANES = 256;

/** How many sums {@link squareSums} makes of a range of that many values. */
export function squareSumCount(size: number, limits: KernelLimits): number {
  const most = limits.cooperativeWorkgroups ? MAX_GROUPS.cooperative : MAX_GROUPS.alone;
  const count = ({ begin, end }: Range): number => LANES * Math.min(most, Math.ceil((end - begin) / (4 * VECTORS * LANES)));
  return (cutRows([spec([size])], limits) ?? [{ begin: 0, end: size }]).reduce((sum, range) => sum + count(range), 0);
}

/**
 * First level of a norm: sums[i] = Σ values², each thread over every n-th vector; always in the same order.
 *
 * sums [n] (written), values [N] → no outputs. N is a multiple of four, n is {@link squareSumCount}.
 */
export const squareSums: Kernel = {
  name: "squareSums",
  updates: [0],
  infer: () => [],
  cost: ([sums, values]) => ({ flops: 2 * sizeOf(values.shape), bytes: bytesOf(sums, values) }),
  program: ([sums]) => ({
    wgsl: `${bindings([], [["sums", "f32"]])}
@group(0) @binding(1) var<storage, read> values: array<vec4<f32>>;

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let first = ${workgroupNumber()} * ${LANES}u + lane;
  let count = arrayLength(&values);
  let stride = arrayLength(&sums);
  var sum = vec4<f32>();
  for (var i = first; i < count; i += stride) { sum += values[i] * values[i]; }
  sums[first] = (sum.x + sum.y) + (sum.z + sum.w);
}`,
    grid: [sizeOf(sums.shape) / LANES, 1, 1],
  }),
  parts([sums, values], attrs, limits) {
    let begin = 0;
    return cutRows([values], limits)?.map((range) => {
      const count = squareSumCount(range.end - range.begin, limits);
      const window = { ...sums, shape: [count], begin };
      begin += count;
      return { windows: [window, rowWindow(values, range)], attrs };
    }) ?? null;
  },
};

/**
 * Second level: the norm of all gradients, and the factor that brings it down to `limit`.
 *
 * norm [1], factor [1] (both written), sums [n], limit [1], and where the loss was scaled its state [3] (see
 * loss-scale.ts) → no outputs. factor = min(1, limit / (norm + 1e-6)), and −1 where the norm is not finite. With a scaled
 * loss, norm is that of the true gradients, factor also takes the scale off, and a norm that is not finite is noted.
 * Source: torch.nn.utils.clip_grad_norm_.
 */
export const clipFactor: Kernel = {
  name: "clipFactor",
  updates: [0, 1, 4],
  infer: () => [],
  cost: ([, , sums]) => ({ flops: sizeOf(sums.shape), bytes: bytesOf(sums) }),
  program(inputs, _attrs, limits) {
    const scaled = inputs.length > 4;
    const lanes = limits.cooperativeWorkgroups ? FINAL_LANES : 1;
    const tree = `partial[lane] = sum;
  workgroupBarrier();
  for (var half = ${lanes / 2}u; half > 0u; half /= 2u) { // uniform
    if (lane < half) { partial[lane] += partial[lane + half]; }
    workgroupBarrier();
  }
  if (lane > 0u) { return; }
  sum = partial[0];`;
    return {
      wgsl: `${bindings([], [["norm", "f32"], ["factor", "f32"]])}
@group(0) @binding(2) var<storage, read> sums: array<f32>;
@group(0) @binding(3) var<storage, read> limit: array<f32>;
${scaled ? "@group(0) @binding(4) var<storage, read_write> scaling: array<f32>;" : ""}
${lanes > 1 ? `var<workgroup> partial: array<f32, ${lanes}>;` : ""}

@compute @workgroup_size(${lanes})
fn main(@builtin(local_invocation_index) lane: u32) {
  let count = arrayLength(&sums);
  var sum = 0.0;
  for (var i = lane; i < count; i += ${lanes}u) { sum += sums[i]; }
  ${lanes > 1 ? tree : ""}
  let scale = ${scaled ? "scaling[0]" : "1.0"};
  let root = sqrt(sum) / scale;
  norm[0] = root;
  let finite = (bitcast<u32>(sum) & 0x7f800000u) != 0x7f800000u; // compilers may take x == x for granted
  factor[0] = select(-1.0, min(1.0, limit[0] / (root + 1e-6)) / scale, finite);${scaled ? "\n  if (!finite) { scaling[2] = 1.0; }" : ""}
}`,
      grid: [1, 1, 1],
    };
  },
};
