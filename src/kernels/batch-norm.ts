import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf } from "../core/shape.ts";
import type { Grid, Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { independentThreads, laneReduction, layRows, layThreads, packRow, powerOfTwoAbove, rowEntry, sumComponents } from "./row-reduce.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, workgroupNumber, type Binding } from "./wgsl.ts";

const LANES = 256; // threads of a workgroup that walks planes together
const JOBS = 512; // slices of all channels together: fills a large GPU with workgroups, or a CPU with threads
const BLOCK = 32; // items summed about one origin, see batchNormMoments; a multiple of UNROLL
const UNROLL = 4; // items in one turn of a loop: a turn costs a CPU adapter as much as an item

/** What is fused behind the normalisation: y = activation(batchNorm(x) + residual). */
export interface BatchNormFusion {
  readonly activation: "none" | "relu";
  readonly residual: boolean;
}

/** A channel's normalisation. `mean + remainder` is the mean: the remainder is what rounding took from it. */
const CHANNEL = { size: 5, wgsl: "struct Channel { mean: f32, remainder: f32, rstd: f32, scale: f32, shift: f32 }" };

/** Moments of a part of a channel; the mean counts from the channel's first element. */
const MOMENTS = { size: 3, wgsl: "struct Moments { count: f32, mean: f32, m2: f32 }" };

/** What dy, x - mean and 1 weigh in a channel's dx. */
const SLOPES = { size: 3, wgsl: "struct Slopes { dy: f32, x: f32, constant: f32 }" };

/** WGSL function for the moments of two parts together (Chan, Golub and LeVeque 1979). */
const MERGE = `fn merge(a: Moments, b: Moments) -> Moments {
  let count = a.count + b.count;
  let share = b.count / max(count, 1.0);
  let delta = b.mean - a.mean;
  return Moments(count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share);
}`;

/** x as N·C planes, whose elements are read four at a time where that divides. */
interface Planes {
  readonly images: number;
  readonly channels: number;
  readonly packed: boolean;
  readonly element: string;
  /** Elements, or vectors of four, in a plane. */
  readonly items: number;
  /** Slices that the images are cut into where a channel is reduced, and the images in each. */
  readonly slices: number;
  readonly imagesPerSlice: number;
  /** Elements of a channel in all images. */
  readonly population: number;
}

function planesOf({ shape }: TensorSpec): Planes {
  const [images, channels, ...plane] = shape;
  const area = sizeOf(plane);
  const imagesPerSlice = Math.ceil(images / Math.ceil(JOBS / channels));
  return { images, channels, ...packRow(area), slices: Math.ceil(images / imagesPerSlice), imagesPerSlice, population: images * area };
}

/** How threads walk planes. */
interface Walk {
  /** Threads that walk together: the whole workgroup, or 1. */
  readonly lanes: number;
  readonly grid: Grid;
  /** WGSL up to the body: the number of the `job`, and, of the lanes that share it, the first item and plane. */
  readonly entry: string;
  /** Lanes along a plane, and planes that the lanes cover at once. */
  readonly across: number;
  readonly atOnce: number;
}

/** Gives every job, `planes` planes of `items` items, to one workgroup where workgroups cooperate, or to one thread. */
function walk(jobs: number, planes: number, items: number, limits: KernelLimits): Walk {
  const shared = limits.cooperativeWorkgroups;
  const across = shared ? Math.min(LANES, powerOfTwoAbove(items)) : 1;
  const atOnce = shared ? Math.min(LANES / across, powerOfTwoAbove(planes)) : 1;
  const lanes = across * atOnce;
  const size = shared ? lanes : independentThreads(jobs);
  return {
    lanes,
    across,
    atOnce,
    grid: foldGrid(shared ? jobs : Math.ceil(jobs / size), limits),
    entry: `@compute @workgroup_size(${size})
fn main(${ENTRY_PARAMETERS}) {
  let job = ${shared ? workgroupNumber() : `${workgroupNumber()} * ${size}u + lane`};
  if (job >= ${jobs}u) { return; } // uniform where lanes share a job
  let firstItem = ${shared ? `lane % ${across}u` : "0u"};
  let firstPlane = ${shared ? `lane / ${across}u` : "0u"};`,
  };
}

/**
 * Checks what the kernels below take for granted.
 * @throws ShapeError unless x is [N,C,...], all else [C], and, in training, a channel has more than one value.
 */
export function checkBatchNorm(x: TensorSpec, perChannel: readonly TensorSpec[], training: boolean): void {
  if (x.shape.length < 2) throw new ShapeError(`batchNorm: x must be [N,C,...]; got ${showShape(x.shape)}`);
  const { channels, population } = planesOf(x);
  for (const { shape } of perChannel) {
    if (!sameShape(shape, [channels])) {
      throw new ShapeError(`batchNorm: weight, bias and running statistics must be [${channels}] for x ${showShape(x.shape)}; got ${showShape(shape)}`);
    }
  }
  if (training && population === 1) {
    throw new ShapeError(`batchNorm: training needs more than one value per channel; got x ${showShape(x.shape)}`, "use a larger batch, or evaluate");
  }
}

/** WGSL loop over the items `from`, `from + across` … below `to` of a plane, with `body` for each `i`. */
function eachItem({ items }: Planes, across: number, from: string, to: string, body: string): string {
  if (across > 1 || items % UNROLL !== 0) {
    return `for (var i = ${from}; i < ${to}; i += ${across}u) {
${body}
    }`;
  }
  const turns = Array.from({ length: UNROLL }, (_, k) => `      { let i = turn + ${k}u;
${body} }`);
  return `for (var turn = ${from}; turn < ${to}; turn += ${UNROLL}u) {
${turns.join("\n")}
    }`;
}

/** A walk over the slices of all channels: `c` is the channel, and `eachPlane` opens the loop over its planes' `start`. */
function walkChannels({ images, channels, slices, imagesPerSlice, items }: Planes, limits: KernelLimits): Walk & { readonly eachPlane: string } {
  const steps = walk(channels * slices, imagesPerSlice, items, limits);
  return {
    ...steps,
    entry: `${steps.entry}
  let c = job / ${slices}u;
  let firstImage = job % ${slices}u * ${imagesPerSlice}u;
  let endImage = min(firstImage + ${imagesPerSlice}u, ${images}u);`,
    eachPlane: `for (var n = firstImage + firstPlane; n < endImage; n += ${steps.atOnce}u) {
    let start = (n * ${channels}u + c) * ${items}u;`,
  };
}

/**
 * Moments of the slices of every channel.
 *
 * x [N,C,...] → moments [C,slices,3] (count, mean from the channel's first element, sum of squared deviations).
 * One pass over memory. A thread sums x minus an origin, and its square, over a block of at most 32 items, of which
 * the origin is the first; blocks, threads and slices are then merged by Chan's formula. A sum about one of n elements
 * loses at most a factor 1 + n of precision, since (origin − mean)² ≤ n·variance; so 32 is safe where N·H·W is not,
 * and neither a mean far above the spread nor an outlier that comes first harms the variance.
 * Source: Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
 */
export const batchNormMoments: Kernel = {
  name: "batchNormMoments",
  infer([x]) {
    const { channels, slices } = planesOf(x);
    return [spec([channels, slices, MOMENTS.size])];
  },
  cost([x]) {
    return { flops: 4 * sizeOf(x.shape), bytes: bytesOf(x) };
  },
  program([x], _attrs, limits) {
    const planes = planesOf(x);
    const { element, items, packed } = planes;
    const { entry, eachPlane, across, lanes, grid } = walkChannels(planes, limits);
    const parts = packed ? ["x", "y", "z", "w"].map((part) => [`mean.${part}`, `m2.${part}`]) : [["mean", "m2"]];
    const own = parts.map(([mean, m2]) => `Moments(count, ${mean}, ${m2})`).reduce((all, part) => `merge(${all}, ${part})`);
    return {
      wgsl: `${MOMENTS.wgsl}
${bindings([["x", element]], [["moments", "Moments"]])}

${MERGE}

${laneReduction("mergeLanes", "Moments", "merge(a, b)", lanes)}

${entry}
  let pivot = x[c * ${items}u]${packed ? ".x" : ""};
  var count = 0.0;
  var mean = ${element}();
  var m2 = ${element}();
  ${eachPlane}
    for (var first = firstItem; first < ${items}u; first += ${across * BLOCK}u) {
      let end = min(first + ${across * BLOCK}u, ${items}u);
      let origin = x[start + first];
      var sum = ${element}();
      var squares = ${element}();
      ${eachItem(planes, across, "start + first", "start + end", `        let deviation = x[i] - origin;
        sum += deviation;
        squares += deviation * deviation;`)}
      let blockCount = f32((end - first + ${across - 1}u) / ${across}u);
      let blockMean = (origin - pivot) + sum / blockCount;
      let share = blockCount / (count + blockCount);
      let delta = blockMean - mean;
      m2 += squares - sum * sum / blockCount + delta * delta * (count * share);
      mean += delta * share;
      count += blockCount;
    }
  }
  let total = mergeLanes(${own}, lane);
  if (firstItem + firstPlane == 0u) { moments[job] = total; }
}`,
      grid,
    };
  },
};

/** Numbers of the training step: the decay of the running statistics, and what is added to the variance. */
export interface BatchNormTraining {
  readonly momentum: number;
  readonly eps: number;
}

/**
 * Puts a channel's moments together, and moves the running statistics towards them.
 *
 * moments [C,slices,3], x [N,C,...], weight [C], bias [C], runningMean [C], runningVar [C] → channels [C,5].
 * Normalises with the biased variance; runningVar takes the unbiased one. The running tensors change in place:
 * running = (1 − momentum)·running + momentum·batch.
 */
export const batchNormBatch: Kernel<BatchNormTraining> = {
  name: "batchNormBatch",
  updates: [4, 5],
  infer([, x]) {
    return [spec([x.shape[1], CHANNEL.size])];
  },
  cost([moments, x]) {
    const { channels } = planesOf(x);
    return { flops: 10 * channels * moments.shape[1], bytes: bytesOf(moments) + 4 * channels * (CHANNEL.size + 7) };
  },
  program([, x], { momentum, eps }, limits) {
    const { channels, slices, items, packed, population } = planesOf(x);
    const layout = layRows(channels, slices, limits);
    return {
      wgsl: `${MOMENTS.wgsl}
${CHANNEL.wgsl}
${bindings(
  [["moments", "Moments"], ["x", "f32"], ["weight", "f32"], ["bias", "f32"]],
  [["runningMean", "f32"], ["runningVar", "f32"], ["channels", "Channel"]],
)}

${MERGE}

${laneReduction("mergeLanes", "Moments", "merge(a, b)", layout.lanes)}

${rowEntry(layout)}
  var own = Moments(0.0, 0.0, 0.0);
  for (var i = first; i < ${slices}u; i += LANES) { own = merge(own, moments[row * ${slices}u + i]); }
  let all = mergeLanes(own, lane);
  if (first != 0u) { return; }
  let pivot = x[row * ${packed ? items * 4 : items}u];
  let mean = pivot + all.mean;
  let remainder = (pivot - mean) + all.mean;
  let rstd = inverseSqrt(all.m2 / ${f32(population)} + ${f32(eps)});
  let scale = weight[row] * rstd;
  channels[row] = Channel(mean, remainder, rstd, scale, bias[row] - remainder * scale);
  runningMean[row] += ${f32(momentum)} * (mean - runningMean[row]);
  runningVar[row] += ${f32(momentum)} * (all.m2 / ${f32(population - 1)} - runningVar[row]);
}`,
      grid: layout.grid,
    };
  },
};

/** Normalisation by given statistics: weight [C], bias [C], runningMean [C], runningVar [C] → channels [C,5]. */
export const batchNormFixed: Kernel<{ eps: number }> = {
  name: "batchNormFixed",
  infer([weight]) {
    return [spec([sizeOf(weight.shape), CHANNEL.size])];
  },
  cost([weight]) {
    const channels = sizeOf(weight.shape);
    return { flops: 3 * channels, bytes: 4 * channels * (CHANNEL.size + 4) };
  },
  program([weight], { eps }, limits) {
    const layout = layThreads(sizeOf(weight.shape), limits);
    return {
      wgsl: `${CHANNEL.wgsl}
${bindings(["weight", "bias", "runningMean", "runningVar"].map((name): Binding => [name, "f32"]), [["channels", "Channel"]])}

${rowEntry(layout, "c")}
  let rstd = inverseSqrt(runningVar[c] + ${f32(eps)});
  channels[c] = Channel(runningMean[c], 0.0, rstd, weight[c] * rstd, bias[c]);
}`,
      grid: layout.grid,
    };
  },
};

/**
 * y = activation((x − mean)·scale + shift + residual).
 *
 * x [N,C,...], channels [C,5], residual [N,C,...] where there is one → y [N,C,...].
 * @throws ShapeError if the residual has another shape than x.
 */
export const batchNormApply: Kernel<BatchNormFusion> = {
  name: "batchNormApply",
  infer([x, , ...residual]) {
    for (const { shape } of residual) {
      if (!sameShape(shape, x.shape)) throw new ShapeError(`batchNorm: the residual must have the shape of x, ${showShape(x.shape)}; got ${showShape(shape)}`);
    }
    return [spec(x.shape, x.dtype)];
  },
  cost(inputs) {
    const [x] = inputs;
    return { flops: (inputs.length + 1) * sizeOf(x.shape), bytes: bytesOf(...inputs, x) };
  },
  program([x], { activation, residual }, limits) {
    const planes = planesOf(x);
    const { element, items } = planes;
    const { entry, grid, across } = walkPlanes(planes, limits);
    const sum = `(x[i] - channel.mean) * channel.scale + channel.shift${residual ? " + residual[i]" : ""}`;
    return {
      wgsl: `${CHANNEL.wgsl}
${bindings([["x", element], ["channels", "Channel"], ...(residual ? [["residual", element]] as const : [])], [["y", element]])}

${entry}
  let channel = channels[c];
  ${eachItem(planes, across, "start + firstItem", `start + ${items}u`, `    let value = ${sum};
    y[i] = ${activation === "relu" ? `select(value, ${element}(), value < ${element}())` : "value"};`)}
}`,
      grid,
    };
  },
};

/** A walk over all planes, each once: `c` is the plane's channel and `start` its first item. */
function walkPlanes({ images, channels, items }: Planes, limits: KernelLimits): Walk {
  const total = images * channels;
  const planesPerJob = limits.cooperativeWorkgroups ? Math.min(total, Math.max(1, LANES / powerOfTwoAbove(items))) : 1;
  const steps = walk(Math.ceil(total / planesPerJob), planesPerJob, items, limits);
  return {
    ...steps,
    entry: `${steps.entry}
  let plane = job * ${steps.atOnce}u + firstPlane;
  if (plane >= ${total}u) { return; }
  let c = plane % ${channels}u;
  let start = plane * ${items}u;`,
  };
}

/** WGSL for the gradient before the activation at item `i`, of this `deviation` from the mean, and what it reads beside dy. */
function gradientAt({ activation, residual }: BatchNormFusion, element: string): { readonly value: string; readonly reads: readonly Binding[] } {
  if (activation === "none") return { value: "dy[i]", reads: [] };
  // Without a residual the sign is worked out again from x, which is read anyway: one tensor less.
  const activated = residual ? "y[i]" : "deviation * channel.scale + channel.shift";
  return { value: `select(dy[i], ${element}(), ${activated} <= ${element}())`, reads: residual ? [["y", element]] : [] };
}

/**
 * Sums behind the gradients of weight and bias, for the slices of every channel.
 *
 * dy [N,C,...], x [N,C,...], channels [C,5], y [N,C,...] where a residual was added before an activation
 * → sums [C,slices,2] of g and of g·(x − mean), with g the gradient before the activation.
 */
export const batchNormBackwardSums: Kernel<BatchNormFusion> = {
  name: "batchNormBackwardSums",
  infer([, x]) {
    const { channels, slices } = planesOf(x);
    return [spec([channels, slices, 2])];
  },
  cost(inputs) {
    return { flops: 4 * sizeOf(inputs[1].shape), bytes: bytesOf(...inputs) };
  },
  program([, x], fusion, limits) {
    const planes = planesOf(x);
    const { element, items, packed } = planes;
    const { entry, eachPlane, across, lanes, grid } = walkChannels(planes, limits);
    const gradient = gradientAt(fusion, element);
    return {
      wgsl: `${CHANNEL.wgsl}
${bindings([["dy", element], ["x", element], ["channels", "Channel"], ...gradient.reads], [["sums", "vec2<f32>"]])}

${laneReduction("sumLanes", "vec2<f32>", "a + b", lanes)}

${entry}
  let channel = channels[c];
  var sum = ${element}();
  var product = ${element}();
  ${eachPlane}
    ${eachItem(planes, across, "start + firstItem", `start + ${items}u`, `      let deviation = x[i] - channel.mean;
      let g = ${gradient.value};
      sum += g;
      product += g * deviation;`)}
  }
  let total = sumLanes(vec2<f32>(${sumComponents("sum", packed)}, ${sumComponents("product", packed)}), lane);
  if (firstItem + firstPlane == 0u) { sums[job] = total; }
}`,
      grid,
    };
  },
};

/**
 * Gradients of weight and bias, and what dx is made of: dx = slopes.dy·g + slopes.x·(x − mean) + slopes.constant.
 *
 * sums [C,slices,2], channels [C,5] → dweight [C], dbias [C], slopes [C,3]. With given statistics dx is scale·g.
 */
export const batchNormBackwardChannels: Kernel<{ training: boolean; population: number }> = {
  name: "batchNormBackwardChannels",
  infer([, { shape: [channels] }]) {
    return [spec([channels]), spec([channels]), spec([channels, SLOPES.size])];
  },
  cost([sums, channels]) {
    return { flops: sizeOf(sums.shape) + 10 * channels.shape[0], bytes: bytesOf(sums, channels) + 4 * channels.shape[0] * (SLOPES.size + 2) };
  },
  program([{ shape: [channels, slices] }], { training, population }, limits) {
    const layout = layRows(channels, slices, limits);
    return {
      wgsl: `${CHANNEL.wgsl}
${SLOPES.wgsl}
${bindings([["sums", "vec2<f32>"], ["channels", "Channel"]], [["dweight", "f32"], ["dbias", "f32"], ["slopes", "Slopes"]])}

${laneReduction("sumLanes", "vec2<f32>", "a + b", layout.lanes)}

${rowEntry(layout)}
  var own = vec2<f32>();
  for (var i = first; i < ${slices}u; i += LANES) { own += sums[row * ${slices}u + i]; }
  let total = sumLanes(own, lane);
  if (first != 0u) { return; }
  let channel = channels[row];
  let dw = channel.rstd * (total.y - channel.remainder * total.x);
  dweight[row] = dw;
  dbias[row] = total.x;
${training ? `  let slope = -channel.scale * channel.rstd * dw / ${f32(population)};
  slopes[row] = Slopes(channel.scale, slope, -channel.scale * total.x / ${f32(population)} - slope * channel.remainder);` : "  slopes[row] = Slopes(channel.scale, 0.0, 0.0);"}
}`,
      grid: layout.grid,
    };
  },
};

/**
 * Gradient of x, and of the residual where it passed through an activation.
 *
 * dy [N,C,...], x [N,C,...], channels [C,5], slopes [C,3], y as in {@link batchNormBackwardSums}
 * → dx [N,C,...] and, where y is given, dresidual [N,C,...].
 */
export const batchNormBackwardApply: Kernel<BatchNormFusion> = {
  name: "batchNormBackwardApply",
  infer([, x, , , ...y]) {
    return [spec(x.shape, x.dtype), ...y.map(({ shape, dtype }) => spec(shape, dtype))];
  },
  cost(inputs) {
    const [, x, , , ...y] = inputs;
    return { flops: 5 * sizeOf(x.shape), bytes: bytesOf(...inputs, x, ...y) };
  },
  program([, x], fusion, limits) {
    const planes = planesOf(x);
    const { element, items } = planes;
    const { entry, grid, across } = walkPlanes(planes, limits);
    const gradient = gradientAt(fusion, element);
    const split = gradient.reads.length > 0;
    return {
      wgsl: `${CHANNEL.wgsl}
${SLOPES.wgsl}
${bindings(
  [["dy", element], ["x", element], ["channels", "Channel"], ["slopes", "Slopes"], ...gradient.reads],
  [["dx", element], ...(split ? [["dresidual", element]] as const : [])],
)}

${entry}
  let channel = channels[c];
  let slope = slopes[c];
  ${eachItem(planes, across, "start + firstItem", `start + ${items}u`, `    let deviation = x[i] - channel.mean;
    let g = ${gradient.value};
    dx[i] = g * slope.dy + deviation * slope.x + slope.constant;${split ? "\n    dresidual[i] = g;" : ""}`)}
}`,
      grid,
    };
  },
};

