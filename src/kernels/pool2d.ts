import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { pairOf, type Pair } from "./conv2d.ts";
import type { Kernel, KernelLimits, Program, TensorSpec } from "./kernel.ts";
import { bindings, bytesOf, ENTRY_PARAMETERS, f32, foldGrid, spec, workgroupNumber, type Binding } from "./wgsl.ts";

const LANES = 64; // one wavefront on AMD, two warps on NVIDIA

export interface Pool2dAttrs {
  readonly kernel: Pair;
  /** Default the kernel's size. */
  readonly stride?: Pair;
  readonly padding?: Pair;
  /** Whether a last window that reaches over the padding counts too. Default false. */
  readonly ceilMode?: boolean;
}

export interface MaxPool2dAttrs extends Pool2dAttrs {
  /** From one element of a window to the next. Default 1. */
  readonly dilation?: Pair;
}

export interface AvgPool2dAttrs extends Pool2dAttrs {
  /** Whether the padding counts, as zeros; otherwise the mean is over what lies on the input. Default true. */
  readonly countIncludePad?: boolean;
}

/** An attribute of the forward kernel, and of the backward one, which needs the input's shape beside them. */
type OfGradient<Attrs> = Attrs & { readonly inputShape: Shape };

export interface AdaptivePoolAttrs {
  /** Height and width of the output. */
  readonly output: Pair;
}

/** The windows of a pooling: WGSL for where the window of an output index begins, and for those over an input index. */
interface Windows {
  readonly output: readonly [number, number];
  /** From one input of a window to the next. */
  readonly step: readonly [number, number];
  /** What a mean divides by, where it is the same for all windows. */
  readonly size: number | null;
  /** Declares `{name}From` and `{name}To`, the inputs of the window of output index `o`, without padding. */
  inputs(axis: 0 | 1, name: string, o: string): string;
  /** How many places of the window along an axis count in a mean, given what {@link inputs} declares. */
  count(axis: 0 | 1, name: string, o: string): string;
  /** Declares `{name}From` and `{name}To`, the outputs whose window may hold input index `i`. */
  outputs(axis: 0 | 1, name: string, i: string): string;
  /** The one output whose window may hold input index `i`, where windows don't overlap, and whether it does. */
  readonly only: ((axis: 0 | 1, i: string) => { readonly output: string; readonly holds: string }) | null;
}

/**
 * Largest element of each window; of equal ones the first, and a NaN wins.
 *
 * x [N, C, H, W] f32 → out [N, C, OH, OW], indices [N, C, OH, OW] u32 (of the element in its plane H × W, for the
 * backward pass). OH = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, or ceil with `ceilMode` where
 * that window begins on the input or before; the padding is never chosen.
 * @throws ShapeError if x has not four axes, the padding is over half the kernel, or the output would be empty.
 * Source: the same result as torch.nn.functional.max_pool2d with return_indices.
 */
export const maxPool2d: Kernel<MaxPool2dAttrs> = {
  name: "maxPool2d",
  infer([x], attrs) {
    const shape = outputShape(x.shape, slidingWindows("maxPool2d", x.shape, attrs).output);
    return [spec(shape, x.dtype), spec(shape, "u32")];
  },
  cost([x], attrs) {
    const outputs = maxPool2d.infer([x], attrs);
    const [h, w] = pairOf(attrs.kernel);
    return { flops: sizeOf(outputs[0].shape) * h * w, bytes: bytesOf(x, ...outputs) };
  },
  program([x], attrs, limits) {
    const windows = slidingWindows("maxPool2d", x.shape, attrs);
    const [, , h, w] = x.shape;
    const body = `${windows.inputs(0, "y", "row")}
  ${windows.inputs(1, "x", "column")}
  let first = plane * ${h * w}u;
  var best = NOWHERE;
  var lowest = 0xff800000u; // of minus infinity, which WGSL has no constant for
  var most = bitcast<f32>(lowest);
  for (var y = yFrom; y < yTo; y += ${windows.step[0]}u) {
    for (var across = xFrom; across < xTo; across += ${windows.step[1]}u) {
      let value = x[first + y * ${w}u + across];
      if (value > most || best == NOWHERE || (bitcast<u32>(value) & 0x7fffffffu) > 0x7f800000u) { // larger, or NaN
        most = value;
        best = y * ${w}u + across;
      }
    }
  }
  out[i] = most;
  indices[i] = best;`;
    return planeProgram([["x", "f32"]], [["out", "f32"], ["indices", "u32"]], outputShape(x.shape, windows.output), body, limits, "const NOWHERE = 0xffffffffu;");
  },
};

/**
 * The gradient of {@link maxPool2d}: each input pixel adds up the gradients of the windows that chose it.
 *
 * dy, indices [N, C, OH, OW] → dx [N, C, H, W]. Gathered, without atomics: always the same bits.
 */
export const maxPool2dBackward: Kernel<OfGradient<MaxPool2dAttrs>> = {
  name: "maxPool2dBackward",
  infer([dy], attrs) {
    checkGradient("maxPool2dBackward", dy, attrs.inputShape, slidingWindows("maxPool2d", attrs.inputShape, attrs));
    return [spec(attrs.inputShape, dy.dtype)];
  },
  cost([dy, indices], { inputShape, ...attrs }) {
    const [h, w] = pairOf(attrs.kernel);
    return { flops: sizeOf(dy.shape) * h * w, bytes: bytesOf(dy, indices, spec(inputShape)) };
  },
  program(_, attrs, limits) {
    const windows = slidingWindows("maxPool2d", attrs.inputShape, attrs);
    const term = (at: string): string => `if (indices[${at}] == row * ${attrs.inputShape[3]}u + column) { sum += dy[${at}]; }`;
    return gatherProgram([["dy", "f32"], ["indices", "u32"]], attrs.inputShape, windows, term, limits);
  },
};

/**
 * Mean of each window.
 *
 * x [N, C, H, W] f32 → out [N, C, OH, OW], sizes as in {@link maxPool2d}.
 * @throws ShapeError as {@link maxPool2d}.
 * Source: the same result as torch.nn.functional.avg_pool2d.
 */
export const avgPool2d: Kernel<AvgPool2dAttrs> = {
  name: "avgPool2d",
  infer([x], attrs) {
    return [spec(outputShape(x.shape, slidingWindows("avgPool2d", x.shape, attrs).output), x.dtype)];
  },
  cost([x], attrs) {
    const [out] = avgPool2d.infer([x], attrs);
    return { flops: sizeOf(out.shape) * windowSize(attrs), bytes: bytesOf(x, out) };
  },
  program([x], attrs, limits) {
    return meanProgram(x.shape, slidingWindows("avgPool2d", x.shape, attrs), limits);
  },
};

/** The gradient of {@link avgPool2d}: dy [N, C, OH, OW] → dx [N, C, H, W], gathered. */
export const avgPool2dBackward: Kernel<OfGradient<AvgPool2dAttrs>> = {
  name: "avgPool2dBackward",
  infer([dy], attrs) {
    checkGradient("avgPool2dBackward", dy, attrs.inputShape, slidingWindows("avgPool2d", attrs.inputShape, attrs));
    return [spec(attrs.inputShape, dy.dtype)];
  },
  cost([dy], attrs) {
    return { flops: sizeOf(dy.shape) * windowSize(attrs), bytes: bytesOf(dy, spec(attrs.inputShape)) };
  },
  program(_, attrs, limits) {
    return spreadProgram(attrs.inputShape, slidingWindows("avgPool2d", attrs.inputShape, attrs), limits);
  },
};

/**
 * Mean of windows that divide the input into a given number of rows and columns; output 1 is the global mean.
 * Window o of n over a size is floor(o size / n) .. ceil((o + 1) size / n): neighbours may overlap by one.
 *
 * x [N, C, H, W] f32 → out [N, C, OH, OW].
 * @throws ShapeError if x has not four axes or an output size is below 1.
 * Source: the same result as torch.nn.functional.adaptive_avg_pool2d.
 */
export const adaptiveAvgPool2d: Kernel<AdaptivePoolAttrs> = {
  name: "adaptiveAvgPool2d",
  infer([x], attrs) {
    return [spec(outputShape(x.shape, adaptiveWindows(x.shape, attrs).output), x.dtype)];
  },
  cost([x], attrs) {
    const [out] = adaptiveAvgPool2d.infer([x], attrs);
    return { flops: sizeOf(x.shape), bytes: bytesOf(x, out) };
  },
  program([x], attrs, limits) {
    return meanProgram(x.shape, adaptiveWindows(x.shape, attrs), limits);
  },
};

/** The gradient of {@link adaptiveAvgPool2d}: dy [N, C, OH, OW] → dx [N, C, H, W], gathered. */
export const adaptiveAvgPool2dBackward: Kernel<OfGradient<AdaptivePoolAttrs>> = {
  name: "adaptiveAvgPool2dBackward",
  infer([dy], attrs) {
    checkGradient("adaptiveAvgPool2dBackward", dy, attrs.inputShape, adaptiveWindows(attrs.inputShape, attrs));
    return [spec(attrs.inputShape, dy.dtype)];
  },
  cost([dy], { inputShape }) {
    return { flops: sizeOf(inputShape), bytes: bytesOf(dy, spec(inputShape)) };
  },
  program(_, attrs, limits) {
    return spreadProgram(attrs.inputShape, adaptiveWindows(attrs.inputShape, attrs), limits);
  },
};

function windowSize(attrs: Pool2dAttrs): number {
  const [h, w] = pairOf(attrs.kernel);
  return h * w;
}

function slidingWindows(name: string, shape: Shape, attrs: MaxPool2dAttrs & AvgPool2dAttrs): Windows {
  checkInput(name, shape);
  const size = shape.slice(2);
  const { ceilMode = false, countIncludePad = true } = attrs;
  const [kernel, stride, padding, dilation] = [attrs.kernel, attrs.stride ?? attrs.kernel, attrs.padding ?? 0, attrs.dilation ?? 1].map(pairOf);
  const extent = [0, 1].map((axis) => dilation[axis] * (kernel[axis] - 1) + 1);
  for (const axis of [0, 1]) {
    const whole = [kernel, stride, padding, dilation].every((pair) => Number.isInteger(pair[axis]));
    if (!whole || kernel[axis] < 1 || stride[axis] < 1 || dilation[axis] < 1 || padding[axis] < 0 || 2 * padding[axis] > kernel[axis]) {
      throw new ShapeError(`${name}: kernel, stride and dilation must be at least 1 and padding between 0 and half the kernel; got ${kernel}, ${stride}, ${dilation}, ${padding}`);
    }
    if (size[axis] + 2 * padding[axis] < extent[axis]) throw new ShapeError(`${name}: the padded input must be at least as large as the kernel; got ${showShape(shape)} and ${extent}`);
  }
  const out = (axis: 0 | 1): number => {
    const steps = (size[axis] + 2 * padding[axis] - extent[axis]) / stride[axis];
    const last = Math.ceil(steps);
    const begins = last * stride[axis] < size[axis] + padding[axis];
    return (ceilMode && begins ? last : Math.floor(steps)) + 1;
  };
  const output = [out(0), out(1)] as const;
  const begin = (axis: 0 | 1, o: string): string => `${o} * ${stride[axis]}u`;
  // How far the first element on the input lies behind a window's begin.
  const skip = (axis: 0 | 1, o: string): string => `(max(${begin(axis, o)}, ${padding[axis]}u) - ${begin(axis, o)} + ${dilation[axis] - 1}u) / ${dilation[axis]}u * ${dilation[axis]}u`;
  return {
    output,
    step: [dilation[0], dilation[1]],
    size: countIncludePad && !ceilMode ? kernel[0] * kernel[1] : null,
    inputs: (axis, name, o) => `let ${name}From = ${dilation[axis] === 1 ? `max(${begin(axis, o)}, ${padding[axis]}u)` : `${begin(axis, o)} + ${skip(axis, o)}`} - ${padding[axis]}u;
  let ${name}To = min(${begin(axis, o)} + ${extent[axis]}u, ${size[axis] + padding[axis]}u) - ${padding[axis]}u;`,
    count: (axis, name, o) => (countIncludePad ? `(min(${begin(axis, o)} + ${kernel[axis]}u, ${size[axis] + 2 * padding[axis]}u) - ${begin(axis, o)})` : `(${name}To - ${name}From)`),
    outputs: (axis, name, i) => `let ${name}From = (max(${i} + ${padding[axis] + stride[axis]}u, ${extent[axis]}u) - ${extent[axis]}u) / ${stride[axis]}u;
  let ${name}To = min((${i} + ${padding[axis]}u) / ${stride[axis]}u + 1u, ${output[axis]}u);`,
    only: [0, 1].some((axis) => stride[axis] < extent[axis])
      ? null
      : (axis, i) => {
          if (extent[axis] >= size[axis] + padding[axis]) return { output: "0u", holds: "true" }; // one window over all
          const o = `(${i} + ${padding[axis]}u) / ${stride[axis]}u`;
          const covered = stride[axis] === extent[axis] ? "" : ` && (${i} + ${padding[axis]}u) % ${stride[axis]}u < ${extent[axis]}u`;
          return { output: o, holds: `${o} < ${output[axis]}u${covered}` };
        },
  };
}

function adaptiveWindows(shape: Shape, attrs: AdaptivePoolAttrs): Windows {
  checkInput("adaptiveAvgPool2d", shape);
  const output = pairOf(attrs.output);
  if (!output.every((n) => Number.isInteger(n) && n >= 1)) throw new ShapeError(`adaptiveAvgPool2d: the output's size must be at least 1; got ${output}`);
  const size = shape.slice(2);
  // Windows of one size that lie side by side.
  if (output.every((n, axis) => size[axis] % n === 0)) return slidingWindows("adaptiveAvgPool2d", shape, { kernel: [size[0] / output[0], size[1] / output[1]] });
  return {
    output,
    step: [1, 1],
    size: null,
    inputs: (axis, name, o) => `let ${name}From = ${o} * ${size[axis]}u / ${output[axis]}u;
  let ${name}To = ((${o} + 1u) * ${size[axis]}u + ${output[axis] - 1}u) / ${output[axis]}u;`,
    count: (_axis, name) => `(${name}To - ${name}From)`,
    outputs: (axis, name, i) => `let ${name}From = ${i} * ${output[axis]}u / ${size[axis]}u;
  let ${name}To = ((${i} + 1u) * ${output[axis]}u + ${size[axis] - 1}u) / ${size[axis]}u;`,
    only: null,
  };
}

function checkInput(name: string, shape: Shape): void {
  if (shape.length !== 4) throw new ShapeError(`${name}: the input must be [N,C,H,W]; got ${showShape(shape)}`);
}

function outputShape(shape: Shape, output: readonly [number, number]): number[] {
  return [shape[0], shape[1], ...output];
}

function checkGradient(name: string, dy: TensorSpec, inputShape: Shape, { output }: Windows): void {
  const expected = outputShape(inputShape, output);
  if (!sameShape(dy.shape, expected)) throw new ShapeError(`${name}: the gradient must be ${showShape(expected)}; got ${showShape(dy.shape)}`);
}

/** One thread for each element `i` of `shape`, which is (`row`, `column`) of `plane`. */
function planeProgram(read: readonly Binding[], write: readonly Binding[], shape: Shape, body: string, limits: KernelLimits, constants = ""): Program {
  const size = sizeOf(shape);
  const [, , h, w] = shape;
  return {
    wgsl: `${bindings(read, write)}
${constants}

@compute @workgroup_size(${LANES})
fn main(${ENTRY_PARAMETERS}) {
  let i = ${workgroupNumber()} * ${LANES}u + lane;
  if (i >= ${size}u) { return; }
  let plane = i / ${h * w}u;
  let row = i / ${w}u % ${h}u;
  let column = i % ${w}u;
  ${body}
}`,
    grid: foldGrid(Math.ceil(size / LANES), limits),
  };
}

/** WGSL of one over the number of places that count in the window of an output, given what `inputs` declares for `y` and `x`. */
function share(windows: Windows, row: string, column: string): string {
  return windows.size === null ? `1.0 / f32(${windows.count(0, "y", row)} * ${windows.count(1, "x", column)})` : f32(1 / windows.size);
}

/** Mean of each window. */
function meanProgram(shape: Shape, windows: Windows, limits: KernelLimits): Program {
  const [, , h, w] = shape;
  const body = `${windows.inputs(0, "y", "row")}
  ${windows.inputs(1, "x", "column")}
  var sum = 0.0;
  for (var y = yFrom; y < yTo; y++) {
    let line = plane * ${h * w}u + y * ${w}u;
    var part = 0.0;
    for (var at = line + xFrom; at < line + xTo; at++) { part += x[at]; }
    sum += part;
  }
  out[i] = sum * (${share(windows, "row", "column")});`;
  return planeProgram([["x", "f32"]], [["out", "f32"]], outputShape(shape, windows.output), body, limits);
}

/** The gradient of a mean: each input pixel gets its share of the gradient of every window that holds it. */
function spreadProgram(inputShape: Shape, windows: Windows, limits: KernelLimits): Program {
  const declared = windows.size === null ? `${windows.inputs(0, "y", "outRow")}
      ${windows.inputs(1, "x", "outColumn")}
      ` : "";
  return gatherProgram([["dy", "f32"]], inputShape, windows, (at) => `${declared}sum += dy[${at}] * (${share(windows, "outRow", "outColumn")});`, limits);
}

/** Each input pixel runs `term` for the position of every output whose window may hold it, and stores `sum`. */
function gatherProgram(read: readonly Binding[], inputShape: Shape, windows: Windows, term: (at: string) => string, limits: KernelLimits): Program {
  const [oh, ow] = windows.output;
  const visit = `let at = (plane * ${oh}u + outRow) * ${ow}u + outColumn;
      ${term("at")}`;
  const { only } = windows;
  const visits = only === null
    ? `${windows.outputs(0, "outRow", "row")}
  ${windows.outputs(1, "outColumn", "column")}
  for (var outRow = outRowFrom; outRow < outRowTo; outRow++) {
    for (var outColumn = outColumnFrom; outColumn < outColumnTo; outColumn++) {
      ${visit}
    }
  }`
    : `let outRow = ${only(0, "row").output};
  let outColumn = ${only(1, "column").output};
  if (${only(0, "row").holds} && ${only(1, "column").holds}) {
      ${visit}
  }`;
  return planeProgram(read, [["out", "f32"]], inputShape, `var sum = 0.0;
  ${visits}
  out[i] = sum;`, limits);
}
