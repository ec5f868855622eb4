/** PyTorch's ops that are more than one of ours, or take their arguments in another way. */

import * as ops from "../../src/autograd/ops/index.ts";
import type { RecurrentWeights } from "../../src/autograd/ops/recurrent.ts";
import { rnn } from "../../src/autograd/ops/rnn.ts";
import { full, zeros, type Tensor } from "../../src/autograd/tensor.ts";
import type { Arguments } from "./torch-arguments.ts";

export type TorchOp = (given: Arguments) => readonly Tensor[];

export type Reduction = (x: Tensor, axes: readonly number[] | undefined, keepDims: boolean) => Tensor;

/** A second tensor, or the number that stands in its place. */
export function right(given: Arguments): Tensor | number {
  if (given.all().length > 1) return given.tensor("b");
  const name = ["other", "value", "exponent", "scalar", "b"].find((each) => given.has(each));
  if (name === undefined) throw new Error("the case has neither a second input nor a number in its place");
  return given.number(name);
}

export function reduction(fn: Reduction): TorchOp {
  return (given) => [fn(given.tensor("x"), given.axes("dim"), given.flag("keepdim", false))];
}

export function spread(fn: typeof ops.variance): TorchOp {
  const correction = (given: Arguments): number => (given.has("correction") ? given.number("correction") : Number(given.flag("unbiased", true)));
  return (given) => [fn(given.tensor("x"), given.axes("dim"), { correction: correction(given), keepDims: given.flag("keepdim", false) })];
}

/** Values and their places along a dim, or the one value of all. */
export function extremum(fn: typeof ops.max, placeOf: typeof ops.argmax): TorchOp {
  return (given) => {
    const x = given.tensor("x");
    const dim = given.axes("dim");
    if (dim === undefined) return [fn(x)];
    const keep = given.flag("keepdim", false);
    return [fn(x, dim, keep), placeOf(x, dim[0], keep)];
  };
}

export function place(placeOf: typeof ops.argmax): TorchOp {
  return (given) => {
    const x = given.tensor("x");
    const keep = given.flag("keepdim", false);
    if (given.has("dim")) return [placeOf(x, given.number("dim"), keep)];
    const all = placeOf(ops.flatten(x));
    return [keep ? ops.reshape(all, x.shape.map(() => 1)) : all];
  };
}

/** Values in their order and their places, along a dim that ours must have last. */
export function inOrder(fn: (x: Tensor, given: Arguments) => { values: Tensor; indices: Tensor }): TorchOp {
  return (given) => {
    const x = given.tensor("x");
    const [dim, last] = [(given.number("dim", -1) + x.shape.length) % x.shape.length, x.shape.length - 1];
    const swap = (each: Tensor): Tensor => (dim === last ? each : ops.transpose(each, [...x.shape.keys()].with(dim, last).with(last, dim)));
    const { values, indices } = fn(swap(x), given);
    return [swap(values), swap(indices)];
  };
}

export function norm(x: Tensor, p: number, dim: readonly number[] | undefined, keepDims: boolean): Tensor {
  if (p === 1) return ops.sum(ops.abs(x), dim, keepDims);
  if (p === Infinity) return ops.max(ops.abs(x), dim, keepDims);
  if (p === 2) return ops.norm(x, dim, keepDims);
  throw new Error(`p must be 1, 2 or inf; got ${p}`);
}

/** The order of the norm, which PyTorch also calls "fro" where it is 2. */
export function orderOf(given: Arguments): number {
  return ["fro", "None"].includes(given.text("p", "fro")) ? 2 : given.number("p");
}

/** PyTorch's product of vectors and matrices: a vector is a row on the left and a column on the right, and leaves no axis. */
export function product(a: Tensor, b: Tensor): Tensor {
  const y = ops.matmul(a.shape.length === 1 ? ops.unsqueeze(a, 0) : a, b.shape.length === 1 ? ops.unsqueeze(b, 1) : b);
  return ops.squeeze(y, [...(a.shape.length === 1 ? [y.shape.length - 2] : []), ...(b.shape.length === 1 ? [y.shape.length - 1] : [])]);
}

export function addmm(given: Arguments): Tensor {
  const [a, b] = [given.tensor("mat1"), given.tensor("mat2")];
  const scaled = (x: Tensor, factor: number): Tensor => (factor === 1 ? x : ops.mul(x, factor));
  return ops.add(scaled(ops.matmul(a, b), given.number("alpha", 1)), scaled(given.tensor("x"), given.number("beta", 1)));
}

type Pair = number | readonly [number, number];

/** Pictures of one row for ops on vectors [N, C, L]: an attribute for the length is one for the width. */
export function windowed(given: Arguments, rank: 1 | 2, fn: (x: Tensor, pair: (name: string, otherwise?: number) => Pair) => Tensor): Tensor {
  const x = given.tensor("x");
  const batch = x.shape.length === rank + 1 ? ops.unsqueeze(x, 0) : x; // PyTorch takes a single picture too
  const neutral = (name: string): number => (name.startsWith("padding") || name === "output_padding" ? 0 : 1);
  const pair = (name: string, otherwise?: number): Pair => (rank === 2 ? given.pair(name, otherwise) : [neutral(name), given.number(name, otherwise)]);
  const y = fn(rank === 1 ? ops.unsqueeze(batch, 2) : batch, pair);
  const rows = rank === 1 ? ops.squeeze(y, 2) : y;
  return batch === x ? rows : ops.squeeze(rows, 0);
}

function weightOf(given: Arguments, rank: 1 | 2): Tensor {
  const weight = given.tensor("weight");
  return rank === 1 ? ops.unsqueeze(weight, 2) : weight;
}

/** Padding in words: "same" keeps the size where the stride is 1. */
function paddingOf(given: Arguments, weight: Tensor, pair: (name: string, otherwise?: number) => Pair): Pair {
  const words = given.text("padding", "0");
  if (words === "valid") return 0;
  if (words !== "same") return pair("padding", 0);
  const dilation = [pair("dilation", 1)].flat();
  const [height, width] = weight.shape.slice(2).map((n, axis) => ((dilation[axis] ?? dilation[0]) * (n - 1)) / 2);
  if (!Number.isInteger(height) || !Number.isInteger(width)) throw new Error("a padding that differs between two sides of an axis is not supported");
  return [height, width];
}

export function conv(rank: 1 | 2): TorchOp {
  return (given) => {
    const weight = weightOf(given, rank);
    return [windowed(given, rank, (x, pair) => ops.conv2d(x, weight, given.optional("bias"), { stride: pair("stride", 1), padding: paddingOf(given, weight, pair), dilation: pair("dilation", 1), groups: given.number("groups", 1) }))];
  };
}

export function convTranspose(rank: 1 | 2): TorchOp {
  return (given) => {
    const options = (pair: (name: string, otherwise?: number) => Pair): ops.ConvTranspose2dOptions => ({ stride: pair("stride", 1), padding: pair("padding", 0), outputPadding: pair("output_padding", 0), dilation: pair("dilation", 1), groups: given.number("groups", 1) });
    return [windowed(given, rank, (x, pair) => ops.convTranspose2d(x, weightOf(given, rank), given.optional("bias"), options(pair)))];
  };
}

export function pool(rank: 1 | 2, kind: "max" | "avg"): TorchOp {
  return (given) => [
    windowed(given, rank, (x, pair) => {
      const options = { kernel: pair("kernel"), stride: given.has("stride") ? pair("stride") : pair("kernel"), padding: pair("padding", 0), ceilMode: given.flag("ceil_mode", false) };
      if (kind === "max") return ops.maxPool2d(x, { ...options, dilation: pair("dilation", 1) });
      if (given.has("divisor_override")) throw new Error("divisor_override is not supported");
      return ops.avgPool2d(x, { ...options, countIncludePad: given.flag("count_include_pad", true) });
    }),
  ];
}

/** Normalised over the last axes, which become one. */
export function overLast(given: Arguments, fn: (x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined, size: number) => Tensor): Tensor {
  const x = given.tensor("x");
  const [weight, bias] = [given.optional("weight"), given.optional("bias")];
  const count = (given.axes("normalized_shape") ?? weight?.shape ?? [1]).length;
  const kept = x.shape.slice(0, x.shape.length - count);
  const flat = (each: Tensor | undefined): Tensor | undefined => each && ops.reshape(each, [-1]);
  const rows = count === 1 ? x : ops.reshape(x, [...kept, -1]);
  return ops.reshape(fn(rows, flat(weight), flat(bias), rows.shape[kept.length]), x.shape);
}

export function affineOf(given: Arguments): ops.ChannelAffine {
  return { weight: given.optional("weight"), bias: given.optional("bias") };
}

/** Ours takes [N, V] with targets [N]; the rest is made of log-softmax and its negative log-likelihood. */
export function crossEntropy(given: Arguments): Tensor {
  const [logits, target, weight, reduction] = [given.tensor("logits"), given.tensor("target"), given.optional("weight"), given.reduction()];
  const [ignoreIndex, labelSmoothing] = [given.number("ignore_index", -100), given.number("label_smoothing", 0)];
  if (logits.shape.length === 2 && weight === undefined && reduction !== "none") return ops.crossEntropy(logits, target, { ignoreIndex, labelSmoothing, reduction });
  if (labelSmoothing !== 0) throw new Error("label smoothing together with weights, positions or single losses is not supported");
  return ops.nllLoss(ops.logSoftmax(logits, 1), target, { weight, ignoreIndex, reduction });
}

export function klDiv(given: Arguments): Tensor {
  const [x, y] = [given.tensor("x"), given.tensor("y")];
  const target = given.flag("log_target", false) ? ops.exp(y) : y;
  if (given.text("reduction", "mean") !== "batchmean") return ops.klDivLoss(x, target, given.reduction());
  return ops.div(ops.klDivLoss(x, target, "sum"), x.shape[0]);
}

function recurrentWeights(given: Arguments): RecurrentWeights[] {
  return Array.from({ length: given.number("layers", 1) }, (_, layer) => {
    const [weightIh, weightHh] = [given.tensor(`weight_ih_l${layer}`), given.tensor(`weight_hh_l${layer}`)];
    const none = (): Tensor => zeros(weightIh.device, [weightIh.shape[0]]);
    return { weightIh, weightHh, biasIh: given.optional(`bias_ih_l${layer}`) ?? none(), biasHh: given.optional(`bias_hh_l${layer}`) ?? none() };
  });
}

/** Runs a recurrence batch first, whichever way the case has it. */
export function recurrent(run: (x: Tensor, h0: Tensor, weights: RecurrentWeights[], c0: Tensor) => Tensor[]): TorchOp {
  return (given) => {
    const swap = (x: Tensor): Tensor => (given.flag("batch_first", true) ? x : ops.transpose(x, [1, 0, 2]));
    const weights = recurrentWeights(given);
    const x = swap(given.tensor("x"));
    const none = (): Tensor => zeros(x.device, [weights.length, x.shape[0], weights[0].weightHh.shape[1]]);
    const [y, ...states] = run(x, given.optional("h0") ?? none(), weights, given.optional("c0") ?? none());
    return [swap(y), ...states];
  };
}

export function plainRnn(nonlinearity: "tanh" | "relu"): TorchOp {
  return recurrent((x, h0, weights) => {
    const { y, hn } = rnn(x, h0, weights, nonlinearity);
    return [y, hn];
  });
}

/** Ours masks keys alone; a mask over queries too, values of another width and grouped heads are made of products and a softmax. */
export function attention(given: Arguments): Tensor {
  const [q, k, v, mask] = [given.tensor("q"), given.tensor("k"), given.tensor("v"), given.optional("attn_mask")];
  const causal = given.flag("causal", false);
  if (mask === undefined && q.shape.at(-3) === k.shape.at(-3) && k.shape.at(-1) === v.shape.at(-1)) return ops.attention(q, k, v, { causal, keyMask: given.optional("key_mask"), scale: given.scale() });
  const group = q.shape.at(-3)! / k.shape.at(-3)!;
  const shared = (x: Tensor): Tensor => (group === 1 ? x : ops.flatten(ops.expand(ops.unsqueeze(x, -3), [...x.shape.slice(0, -2), group, ...x.shape.slice(-2)]), -4, -3));
  const scores = ops.mul(ops.matmul(q, shared(k), { transposeB: true }), given.scale() ?? 1 / Math.sqrt(q.shape.at(-1)!));
  const seen = causal ? ops.maskedFill(scores, ops.triu(full(q.device, scores.shape.slice(-2), 1), 1), -Infinity) : scores;
  const masked = mask === undefined ? seen : mask.dtype === "f32" ? ops.add(seen, mask) : ops.maskedFill(seen, ops.logicalNot(mask), -Infinity);
  return ops.matmul(ops.softmax(masked), shared(v));
}

/** Axes in another order: all of them, or two that change places. */
export function transpose(given: Arguments): Tensor {
  const x = given.tensor("x");
  if (!given.has("dim0")) return ops.transpose(x, given.axes("perm"));
  const [first, second] = [given.number("dim0"), given.number("dim1")].map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  return ops.transpose(x, [...x.shape.keys()].with(first, second).with(second, first));
}

/** −1 stands for the size that there is. */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  return ops.expand(x, shape.map((n, axis) => (n === -1 ? x.shape[axis - shape.length + x.shape.length] : n)));
}

export function slice(given: Arguments): Tensor {
  const x = given.tensor("x");
  const bounds = (name: string, axis: number): number | undefined => given.axes(name)?.[axis];
  const dims = given.axes("dim") ?? given.list("start").map((_, axis) => axis);
  return dims.reduce((part, dim, i) => {
    const n = x.shape.at(dim)!;
    const place = (value: number): number => Math.min(n, value < 0 ? value + n : value);
    return ops.slice(part, dim, place(bounds("start", i) ?? 0), place(bounds("end", i) ?? n), bounds("step", i) ?? 1);
  }, x);
}

/** PyTorch's flat list begins with the last axis. */
export function pad(given: Arguments): Tensor {
  const flat = given.list("pad");
  const pairs = Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]] as const).reverse();
  const mode = given.text("mode", "constant");
  if (mode !== "constant" && mode !== "reflect" && mode !== "replicate" && mode !== "circular") throw new Error(`mode must be constant, reflect, replicate or circular; got ${mode}`);
  return ops.pad(given.tensor("x"), pairs, mode, given.number("value", 0));
}

export function split(given: Arguments): Tensor[] {
  const x = given.tensor("x");
  const dim = given.number("dim", 0);
  if (given.has("chunks")) return ops.split(x, Math.ceil(x.shape.at(dim)! / given.number("chunks")), dim);
  const sizes = given.list(given.has("split_size_or_sections") ? "split_size_or_sections" : given.has("split_size") ? "split_size" : "sections");
  return ops.split(x, sizes.length === 1 ? sizes[0] : sizes, dim);
}

export function roll(given: Arguments): Tensor {
  const x = given.tensor("x");
  const shifts = given.list("shifts");
  const dims = given.axes("dims");
  if (dims === undefined) return ops.reshape(ops.roll(ops.flatten(x), shifts[0], 0), x.shape);
  return dims.reduce((rolled, dim, i) => ops.roll(rolled, shifts[i], dim), x);
}

/** Fewer numbers than axes are for the last axes. */
export function tile(given: Arguments): Tensor {
  const x = given.tensor("x");
  const times = given.list(given.has("repeats") ? "repeats" : given.has("sizes") ? "sizes" : "dims");
  return ops.repeat(x, [...Array<number>(Math.max(0, x.shape.length - times.length)).fill(1), ...times]);
}

/** Numbers put where the index says; places that it names twice are not PyTorch's to promise either. */
export function scatter(given: Arguments): Tensor {
  const [x, index] = [given.tensor("x"), given.tensor("index")];
  const src = given.all().length > 2 ? given.tensor("src") : full(x.device, index.shape, given.number("value"));
  const dim = given.number("dim");
  const none = zeros(x.device, x.shape);
  const named = ops.scatterAdd(none, dim, index, full(x.device, index.shape, 1));
  return ops.where(named, ops.scatterAdd(none, dim, index, src), x);
}
