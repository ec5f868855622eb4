import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Kernel } from "./kernel.ts";
import { laneReduction, layRows, rowEntry } from "./row-reduce.ts";
import { bindings, bytesOf, spec } from "./wgsl.ts";

/** Numbers that {@link comparePrecision} gives, in order. */
export const PRECISION_STATISTICS = ["largest", "overflows", "underflows", "squaredDifference", "squaredNorm"] as const;

/**
 * What less precision does to a tensor.
 *
 * exact [...], lowered [...] → [5]: the largest magnitude in `exact`; how many of its finite numbers are not finite in
 * `lowered`; how many that are not 0 became 0; Σ (lowered − exact)² and Σ exact² over what is finite in both.
 * @throws ShapeError if the shapes differ.
 */
export const comparePrecision: Kernel = {
  name: "comparePrecision",
  infer([exact, lowered]) {
    if (!sameShape(exact.shape, lowered.shape)) throw new ShapeError(`comparePrecision: both tensors must have one shape; got ${showShape(exact.shape)} and ${showShape(lowered.shape)}`);
    return [spec([PRECISION_STATISTICS.length])];
  },
  cost([exact, lowered]) {
    return { flops: 6 * sizeOf(exact.shape), bytes: bytesOf(exact, lowered) };
  },
  program([exact], _attrs, limits) {
    const size = sizeOf(exact.shape);
    const layout = layRows(1, size, limits);
    return {
      wgsl: `${bindings([["exact", "f32"], ["lowered", "f32"]], [["statistics", "f32"]])}
struct Statistics { largest: f32, overflows: f32, underflows: f32, difference: f32, norm: f32 }

fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

fn merge(a: Statistics, b: Statistics) -> Statistics {
  return Statistics(max(a.largest, b.largest), a.overflows + b.overflows, a.underflows + b.underflows, a.difference + b.difference, a.norm + b.norm);
}

${laneReduction("mergeLanes", "Statistics", "merge(a, b)", layout.lanes)}

${rowEntry(layout)}
  var own = Statistics(0.0, 0.0, 0.0, 0.0, 0.0);
  for (var i = first; i < ${size}u; i += LANES) {
    let a = exact[i];
    let b = lowered[i];
    if (!isFinite(a)) { continue; }
    own.largest = max(own.largest, abs(a));
    if (!isFinite(b)) {
      own.overflows += 1.0;
      continue;
    }
    if (a != 0.0 && b == 0.0) { own.underflows += 1.0; }
    own.difference += (b - a) * (b - a);
    own.norm += a * a;
  }
  let all = mergeLanes(own, lane);
  if (first != 0u) { return; }
  statistics[0] = all.largest;
  statistics[1] = all.overflows;
  statistics[2] = all.underflows;
  statistics[3] = all.difference;
  statistics[4] = all.norm;
}`,
      grid: layout.grid,
    };
  },
};
