import { ShapeError } from "../core/errors.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import { gemmProgram, gemmSplits } from "./gemm.ts";
import type { Activation, Product, Variant } from "./gemm-product.ts";
import type { Kernel, KernelLimits, TensorSpec } from "./kernel.ts";
import { bytesOf, commonFloat, spec } from "./wgsl.ts";

/** One number for both axes, or one each for height and width. */
export type Pair = number | readonly [height: number, width: number];

export interface Conv2dAttrs {
  readonly stride?: Pair;
  readonly padding?: Pair;
  readonly dilation?: Pair;
  readonly groups?: number;
  readonly activation?: Activation;
  /** Instead of the best guess. */
  readonly variant?: Variant;
}

export interface Conv2dInputGradientAttrs extends Conv2dAttrs {
  /** Shape of the input whose gradient is wanted. */
  readonly inputShape: Shape;
}

export interface Conv2dWeightGradientAttrs extends Conv2dAttrs {
  /** Shape of the weight whose gradient is wanted. */
  readonly weightShape: Shape;
  /** Cuts the sum over the batch into that many parts: out [splits, O, I, KH, KW], to be summed. */
  readonly splits?: number;
}

/** Rows of output pixels from this length on are summed along, shorter ones across the images of a batch. */
const LONG_ROW = 16;

/** All sizes of a convolution; `h` and `w` in pairs, `i` and `o` channels of one group. */
interface Geometry {
  readonly n: number;
  readonly channelsIn: number;
  readonly channelsOut: number;
  readonly groups: number;
  readonly i: number;
  readonly o: number;
  readonly input: readonly [number, number];
  readonly output: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly taps: number;
}

/**
 * 2-D convolution (cross-correlation), as an implicit matrix product: rows are output channels, columns are output
 * pixels of the whole batch, and the sum runs over the kernel's taps and, innermost, the input channels.
 *
 * x [N, C, H, W], weight [O, C/groups, KH, KW], bias [O] (optional) → out [N, O, OH, OW],
 * OH = floor((H + 2 padding - dilation (KH - 1) - 1) / stride) + 1.
 * @throws ShapeError if ranks, channels, groups or bias don't fit, or the output would be empty.
 * Source: the same result as torch.nn.functional.conv2d; implicit product as in Chetlur et al. 2014, arXiv:1410.0759.
 */
export const conv2d: Kernel<Conv2dAttrs> = {
  name: "conv2d",
  infer([x, weight, bias], attrs) {
    const g = geometry(x.shape, weight.shape, attrs);
    if (bias !== undefined && !sameShape(bias.shape, [g.channelsOut])) throw new ShapeError(`conv2d: bias must be [${g.channelsOut}]; got ${showShape(bias.shape)}`);
    return [spec(outputShape(g), commonFloat(x, weight))];
  },
  cost(inputs, attrs) {
    const [x, weight] = inputs;
    return { flops: flopsOf(geometry(x.shape, weight.shape, attrs)), bytes: bytesOf(...inputs, ...conv2d.infer(inputs, attrs)) };
  },
  program([x, weight, bias], attrs, limits) {
    return gemmProgram(forwardProduct(geometry(x.shape, weight.shape, attrs), bias !== undefined, attrs.activation ?? "none"), limits, attrs.variant);
  },
};

/**
 * The gradient of a convolution for its input: rows are input channels, columns input pixels, and the sum runs over
 * the taps that reach a pixel and the output channels. With a stride, pixels of one phase (remainder modulo the
 * stride) share their taps, so each phase is a product of its own and no tap is multiplied in vain.
 *
 * dy [N, O, OH, OW], weight [O, C/groups, KH, KW] → dx [N, C, H, W].
 * @throws ShapeError if dy is not what the forward convolution makes of `inputShape`.
 */
export const conv2dInputGradient: Kernel<Conv2dInputGradientAttrs> = {
  name: "conv2dInputGradient",
  infer([dy, weight], attrs) {
    checkGradient("conv2dInputGradient", dy, geometry(attrs.inputShape, weight.shape, attrs));
    return [spec(attrs.inputShape, commonFloat(dy, weight))];
  },
  cost([dy, weight], attrs) {
    return { flops: flopsOf(geometry(attrs.inputShape, weight.shape, attrs)), bytes: bytesOf(dy, weight, spec(attrs.inputShape)) };
  },
  program([, weight], attrs, limits) {
    return gemmProgram(inputGradientProduct(geometry(attrs.inputShape, weight.shape, attrs)), limits, attrs.variant);
  },
};

/**
 * The gradient of a convolution for its weight: rows are output channels, and the sum runs over images and output
 * pixels. In the shared family columns are all weights of an output channel; in the register family they are input
 * channels and each tap is a product of its own, whose sum leaves the padding out.
 *
 * dy [N, O, OH, OW], x [N, C, H, W] → dweight [O, C/groups, KH, KW], or [splits, O, ...] in parts; f32.
 * @throws ShapeError if dy is not what the forward convolution makes of x and `weightShape`.
 */
export const conv2dWeightGradient: Kernel<Conv2dWeightGradientAttrs> = {
  name: "conv2dWeightGradient",
  infer([dy, x], attrs) {
    checkGradient("conv2dWeightGradient", dy, geometry(x.shape, attrs.weightShape, attrs));
    const { splits = 1, weightShape } = attrs;
    return [spec(splits > 1 ? [splits, ...weightShape] : weightShape)];
  },
  cost(inputs, attrs) {
    return { flops: flopsOf(geometry(inputs[1].shape, attrs.weightShape, attrs)), bytes: bytesOf(...inputs, ...conv2dWeightGradient.infer(inputs, attrs)) };
  },
  program([, x], attrs, limits) {
    const shared = attrs.variant === undefined ? limits.cooperativeWorkgroups : attrs.variant.family === "shared";
    const g = geometry(x.shape, attrs.weightShape, attrs);
    return gemmProgram(weightGradientProduct(g, attrs.splits ?? 1, shared), limits, attrs.variant);
  },
};

/** Into how many parts {@link conv2dWeightGradient} should cut its sum on this adapter: at most one an image. */
export function weightGradientSplits(x: TensorSpec, attrs: Conv2dWeightGradientAttrs, limits: KernelLimits): number {
  const g = geometry(x.shape, attrs.weightShape, attrs);
  return Math.min(g.n, gemmSplits(weightGradientProduct(g, 1, limits.cooperativeWorkgroups), limits));
}

/** Splits one number or a pair into height and width. */
export function pairOf(value: Pair): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}

function geometry(x: Shape, weight: Shape, attrs: Conv2dAttrs): Geometry {
  const { groups = 1 } = attrs;
  if (x.length !== 4 || weight.length !== 4) throw new ShapeError(`conv2d: input and weight must have four axes, [N,C,H,W] and [O,C/groups,KH,KW]; got ${showShape(x)} and ${showShape(weight)}`);
  const [n, channelsIn, h, w] = x;
  const [channelsOut, i, kh, kw] = weight;
  if (!Number.isInteger(groups) || groups < 1 || i * groups !== channelsIn) throw new ShapeError(`conv2d: the input's channels must be groups × the weight's second size; got ${channelsIn} for ${groups} × ${i}`);
  if (channelsOut % groups !== 0) throw new ShapeError(`conv2d: the output's channels must divide into ${groups} groups; got ${channelsOut}`);
  const stride = pairOf(attrs.stride ?? 1);
  const padding = pairOf(attrs.padding ?? 0);
  const dilation = pairOf(attrs.dilation ?? 1);
  const whole = (pair: readonly number[], least: number): boolean => pair.every((value) => Number.isInteger(value) && value >= least);
  if (!whole(stride, 1) || !whole(dilation, 1) || !whole(padding, 0)) throw new ShapeError(`conv2d: stride and dilation must be at least 1 and padding at least 0; got ${stride}, ${dilation}, ${padding}`);
  const out = (axis: 0 | 1): number => Math.floor(([h, w][axis] + 2 * padding[axis] - dilation[axis] * ([kh, kw][axis] - 1) - 1) / stride[axis]) + 1;
  const output = [out(0), out(1)] as const;
  if (!whole(output, 1)) throw new ShapeError(`conv2d: the padded input must be at least as large as the dilated kernel; got input ${showShape(x)}, weight ${showShape(weight)}`);
  return { n, channelsIn, channelsOut, groups, i, o: channelsOut / groups, input: [h, w], output, kernel: [kh, kw], stride, padding, dilation, taps: kh * kw };
}

function outputShape({ n, channelsOut, output }: Geometry): number[] {
  return [n, channelsOut, ...output];
}

function flopsOf({ n, channelsOut, output, i, taps }: Geometry): number {
  return 2 * n * channelsOut * sizeOf(output) * i * taps;
}

function checkGradient(name: string, dy: TensorSpec, g: Geometry): void {
  if (!sameShape(dy.shape, outputShape(g))) throw new ShapeError(`${name}: the gradient must be ${showShape(outputShape(g))}; got ${showShape(dy.shape)}`);
}

function forwardProduct(g: Geometry, bias: boolean, activation: Activation): Product {
  const [h, w] = g.input;
  const [oh, ow] = g.output;
  const padded = g.padding[0] + g.padding[1] > 0;
  const pixels = oh * ow;
  return {
    rows: g.o,
    columns: g.n * pixels,
    batch: g.groups,
    depth: g.i * g.taps,
    axes: [
      { index: "tapY", extent: `${g.kernel[0]}u` },
      { index: "tapX", extent: `${g.kernel[1]}u` },
      { index: "channel", extent: `${g.i}u` },
    ],
    prelude: "",
    advance: `let weightOffset = tapY * ${g.kernel[1]}u + tapX;
let down = tapY * ${g.dilation[0]}u;
let right = tapX * ${g.dilation[1]}u;
let inputOffset = down * ${w}u + right;`,
    a: {
      binding: "weight",
      locate: (row, s) => `let first${s} = (batch * ${g.o}u + ${row}) * ${g.i * g.taps}u;`,
      advance: (s) => `let at${s} = first${s} + weightOffset;`,
      stride: g.taps,
      load: (s, offset) => `weight[at${s} + ${offset}]`,
    },
    b: {
      binding: "x",
      locate: (column, s) => `let pixel${s} = ${column};
let y${s} = pixel${s} / ${ow}u % ${oh}u * ${g.stride[0]}u - ${g.padding[0]}u; // below 0: wraps to a large number
let x${s} = pixel${s} % ${ow}u * ${g.stride[1]}u - ${g.padding[1]}u;
let first${s} = (pixel${s} / ${pixels}u * ${g.channelsIn}u + batch * ${g.i}u) * ${h * w}u + y${s} * ${w}u + x${s};`,
      advance: (s) => `let inside${s} = ${padded ? `(y${s} + down < ${h}u) & (x${s} + right < ${w}u)` : "true"};
let at${s} = ${masked(padded, `first${s} + inputOffset`, s, "0u")};`,
      stride: h * w,
      load: (s, offset) => masked(padded, `x[at${s} + ${offset}]`, s, "0.0"),
    },
    inputs: ["x", "weight", ...(bias ? ["bias"] : [])],
    locateOutput: (column, s) => `let at${s} = ((${column}) / ${pixels}u * ${g.channelsOut}u + batch * ${g.o}u) * ${pixels}u + ${column} % ${pixels}u;`,
    output: (row, s) => `at${s} + ${row} * ${pixels}u`,
    bias: bias ? { along: "row", load: (row) => `bias[batch * ${g.o}u + ${row}]` } : undefined,
    activation,
  };
}

/** A value, or another where a column's `inside` is false. */
function masked(needed: boolean, value: string, s: string, otherwise: string): string {
  return needed ? `select(${otherwise}, ${value}, inside${s})` : value;
}

/** The taps of one axis that reach pixels of each phase: how many, the first, the distance between them, and by how many output pixels they lie apart. */
function tapsOf(g: Geometry, axis: 0 | 1): { counts: number[]; firsts: number[]; step: number; hop: number } {
  const stride = g.stride[axis];
  const reaches = (phase: number, tap: number): boolean => (phase + g.padding[axis] - tap * g.dilation[axis]) % stride === 0;
  const phases = Array.from({ length: stride }, (_, phase) => Array.from({ length: g.kernel[axis] }, (_, tap) => tap).filter((tap) => reaches(phase, tap)));
  const steps = phases.filter((taps) => taps.length > 1).map((taps) => taps[1] - taps[0]);
  const step = steps[0] ?? 1;
  return { counts: phases.map((taps) => taps.length), firsts: phases.map((taps) => taps[0] ?? 0), step, hop: Math.floor((step * g.dilation[axis]) / stride) };
}

function inputGradientProduct(g: Geometry): Product {
  const [h, w] = g.input;
  const [oh, ow] = g.output;
  const phases = g.stride[0] * g.stride[1];
  const rowsOfPhase = Math.ceil(h / g.stride[0]);
  const columnsOfPhase = Math.ceil(w / g.stride[1]);
  const pixels = rowsOfPhase * columnsOfPhase;
  const [vertical, horizontal] = [tapsOf(g, 0), tapsOf(g, 1)];
  const pick = (values: readonly number[], phase: string): string => (values.every((value) => value === values[0]) ? `${values[0]}u` : `array(${values.map((value) => `${value}u`).join(", ")})[${phase}]`);
  const same = (values: readonly number[]): boolean => values.every((value) => value === values[0]);
  const ragged = h % g.stride[0] !== 0 || w % g.stride[1] !== 0;
  return {
    rows: g.i,
    columns: g.n * pixels,
    batch: g.groups * phases,
    depth: Math.ceil((g.o * g.taps) / phases),
    axes: [
      { index: "tapRow", extent: same(vertical.counts) ? `${vertical.counts[0]}u` : "tapRows" },
      { index: "tapColumn", extent: same(horizontal.counts) ? `${horizontal.counts[0]}u` : "tapColumns" },
      { index: "channel", extent: `${g.o}u` },
    ],
    prelude: `let phaseY = batch / ${g.stride[1]}u % ${g.stride[0]}u;
let phaseX = batch % ${g.stride[1]}u;
let firstChannel = batch / ${phases}u * ${g.o}u;
let tapRows = ${pick(vertical.counts, "phaseY")};
let tapColumns = ${pick(horizontal.counts, "phaseX")};
let firstTapY = ${pick(vertical.firsts, "phaseY")};
let firstTapX = ${pick(horizontal.firsts, "phaseX")};
let firstY = u32((i32(phaseY) + ${g.padding[0]} - i32(firstTapY) * ${g.dilation[0]}) / ${g.stride[0]});
let firstX = u32((i32(phaseX) + ${g.padding[1]} - i32(firstTapX) * ${g.dilation[1]}) / ${g.stride[1]});`,
    advance: `let weightOffset = (firstTapY + tapRow * ${vertical.step}u) * ${g.kernel[1]}u + firstTapX + tapColumn * ${horizontal.step}u;
let up = tapRow * ${vertical.hop}u;
let left = tapColumn * ${horizontal.hop}u;
let gradientOffset = up * ${ow}u + left;`,
    a: {
      binding: "weight",
      locate: (row, s) => `let first${s} = (firstChannel * ${g.i}u + ${row}) * ${g.taps}u;`,
      advance: (s) => `let at${s} = first${s} + weightOffset;`,
      stride: g.i * g.taps,
      load: (s, offset) => `weight[at${s} + ${offset}]`,
    },
    b: {
      binding: "dy",
      // Where the phase's first tap finds a pixel's gradient; each further tap lies `hop` before it. Below 0 wraps to a large number.
      locate: (column, s) => `let pixel${s} = ${column};
let y${s} = pixel${s} / ${columnsOfPhase}u % ${rowsOfPhase}u + firstY;
let x${s} = pixel${s} % ${columnsOfPhase}u + firstX;
let first${s} = (pixel${s} / ${pixels}u * ${g.channelsOut}u + firstChannel) * ${oh * ow}u + y${s} * ${ow}u + x${s};`,
      advance: (s) => `let inside${s} = (y${s} - up < ${oh}u) & (x${s} - left < ${ow}u);
let at${s} = select(0u, first${s} - gradientOffset, inside${s});`,
      stride: oh * ow,
      load: (s, offset) => masked(true, `dy[at${s} + ${offset}]`, s, "0.0"),
    },
    inputs: ["dy", "weight"],
    locateOutput: (column, s) => `let outY${s} = (${column}) / ${columnsOfPhase}u % ${rowsOfPhase}u * ${g.stride[0]}u + phaseY;
let outX${s} = (${column}) % ${columnsOfPhase}u * ${g.stride[1]}u + phaseX;
let at${s} = ((${column}) / ${pixels}u * ${g.channelsIn}u + batch / ${phases}u * ${g.i}u) * ${h * w}u + outY${s} * ${w}u + outX${s};`,
    output: (row, s) => `at${s} + ${row} * ${h * w}u`,
    stores: ragged ? (s) => `outY${s} < ${h}u && outX${s} < ${w}u` : undefined,
    activation: "none",
  };
}

function weightGradientProduct(g: Geometry, splits: number, shared: boolean): Product {
  return shared ? weightGradientAtOnce(g, splits) : weightGradientByTap(g, splits);
}

/** Columns are input channels and taps together; elements in the padding are zero. */
function weightGradientAtOnce(g: Geometry, splits: number): Product {
  const [h, w] = g.input;
  const [oh, ow] = g.output;
  const weights = g.i * g.taps;
  return {
    rows: g.o,
    columns: weights,
    batch: g.groups * splits,
    depth: Math.ceil(g.n / splits) * oh * ow,
    axes: [
      { index: "image", extent: "images" },
      { index: "row", extent: `${oh}u` },
      { index: "pixel", extent: `${ow}u` },
    ],
    prelude: `let part = batch % ${splits}u;
let channelGroup = batch / ${splits}u;
${imagesOf(g, splits)}`,
    advance: `let gradientOffset = image * ${g.channelsOut * oh * ow}u + row * ${ow}u;
let inputOffset = image * ${g.channelsIn * h * w}u;
let down = row * ${g.stride[0]}u;`,
    a: {
      binding: "dy",
      locate: (row, s) => `let first${s} = (firstImage * ${g.channelsOut}u + channelGroup * ${g.o}u + ${row}) * ${oh * ow}u;`,
      advance: (s) => `let at${s} = first${s} + gradientOffset;`,
      stride: 1,
      load: (s, offset) => `dy[at${s} + ${offset}]`,
    },
    b: {
      binding: "x",
      locate: (column, s) => `let weight${s} = ${column};
let y${s} = weight${s} / ${g.kernel[1]}u % ${g.kernel[0]}u * ${g.dilation[0]}u - ${g.padding[0]}u; // below 0: wraps to a large number
let x${s} = weight${s} % ${g.kernel[1]}u * ${g.dilation[1]}u - ${g.padding[1]}u;
let first${s} = (firstImage * ${g.channelsIn}u + channelGroup * ${g.i}u + weight${s} / ${g.taps}u) * ${h * w}u;`,
      advance: (s) => `let rowOf${s} = y${s} + down;
let at${s} = first${s} + inputOffset + select(0u, rowOf${s} * ${w}u, rowOf${s} < ${h}u);`,
      stride: g.stride[1],
      load: (s, offset) => {
        const column = `(x${s} + ${offset})`;
        const inside = `(rowOf${s} < ${h}u) & (${column} < ${w}u)`;
        return `select(0.0, x[at${s} + min(${column}, ${w - 1}u)], ${inside})`;
      },
    },
    inputs: ["dy", "x"],
    locateOutput: (column, s) => `let at${s} = (part * ${g.groups}u + channelGroup) * ${g.o * weights}u + ${column};`,
    output: (row, s) => `at${s} + ${row} * ${weights}u`,
    activation: "none",
  };
}

/** `firstImage` and `images` of a part of the batch. */
function imagesOf(g: Geometry, splits: number): string {
  const images = Math.ceil(g.n / splits);
  return `let firstImage = min(part * ${images}u, ${g.n - 1}u);
let images = min(${images}u, max(part * ${images}u, ${g.n}u) - part * ${images}u);`;
}

/**
 * Columns are input channels; each tap is a product of its own, over the pixels where it lies on the input. The
 * innermost axis is the longer of pixels in a row and images.
 */
function weightGradientByTap(g: Geometry, splits: number): Product {
  const [h, w] = g.input;
  const [oh, ow] = g.output;
  const images = g.n / splits;
  const overImages = ow < LONG_ROW && images >= ow;
  const imageAxis = { index: "image", extent: Number.isInteger(images) ? `${images}u` : "images" };
  const pixelAxes = [
    { index: "row", extent: "rows" },
    { index: "pixel", extent: "pixels" },
  ];
  const offset = (perImage: number, perRow: number, perPixel: number): string => (overImages ? `row * ${perRow}u + pixel * ${perPixel}u` : `image * ${perImage}u + row * ${perRow}u`);
  return {
    rows: g.o,
    columns: g.i,
    batch: g.groups * splits * g.taps,
    depth: Math.ceil(g.n / splits) * oh * ow,
    axes: overImages ? [...pixelAxes, imageAxis] : [imageAxis, ...pixelAxes],
    prelude: `let tapY = batch / ${g.kernel[1]}u % ${g.kernel[0]}u;
let tapX = batch % ${g.kernel[1]}u;
let part = batch / ${g.taps}u % ${splits}u;
let channelGroup = batch / ${g.taps * splits}u;
${imagesOf(g, splits)}
${tapRange("firstRowOut", "rows", "tapY", g, 0)}
${tapRange("firstPixel", "pixels", "tapX", g, 1)}
let firstX = (firstRowOut * ${g.stride[0]}u + tapY * ${g.dilation[0]}u - ${g.padding[0]}u) * ${w}u + firstPixel * ${g.stride[1]}u + tapX * ${g.dilation[1]}u - ${g.padding[1]}u;`,
    advance: `let gradientOffset = ${offset(g.channelsOut * oh * ow, ow, 1)};
let inputOffset = ${offset(g.channelsIn * h * w, g.stride[0] * w, g.stride[1])};`,
    a: {
      binding: "dy",
      locate: (row, s) => `let first${s} = (firstImage * ${g.channelsOut}u + channelGroup * ${g.o}u + ${row}) * ${oh * ow}u + firstRowOut * ${ow}u + firstPixel;`,
      advance: (s) => `let at${s} = first${s} + gradientOffset;`,
      stride: overImages ? g.channelsOut * oh * ow : 1,
      load: (s, offset) => `dy[at${s} + ${offset}]`,
    },
    b: {
      binding: "x",
      locate: (column, s) => `let first${s} = (firstImage * ${g.channelsIn}u + channelGroup * ${g.i}u + ${column}) * ${h * w}u + firstX;`,
      advance: (s) => `let at${s} = first${s} + inputOffset;`,
      stride: overImages ? g.channelsIn * h * w : g.stride[1],
      load: (s, offset) => `x[at${s} + ${offset}]`,
    },
    inputs: ["dy", "x"],
    locateOutput: (column, s) => `let at${s} = ((part * ${g.groups}u + channelGroup) * ${g.o * g.i}u + ${column}) * ${g.taps}u + tapY * ${g.kernel[1]}u + tapX;`,
    output: (row, s) => `at${s} + ${row} * ${g.i * g.taps}u`,
    activation: "none",
  };
}

/** Declares the first output position, and the number of positions, at which a tap lies on the input. */
function tapRange(first: string, count: string, tap: string, g: Geometry, axis: 0 | 1): string {
  const [stride, padding, dilation] = [g.stride[axis], g.padding[axis], g.dilation[axis]];
  const offset = `${tap} * ${dilation}u`;
  return `let ${first} = (max(${padding}u, ${offset}) - ${offset} + ${stride - 1}u) / ${stride}u;
let ${count} = max(${first}, min(${g.output[axis]}u, (max(${g.input[axis] + padding - 1 + stride}u, ${offset}) - ${offset}) / ${stride}u)) - ${first};`;
}
