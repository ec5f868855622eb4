import { gru } from "../../src/autograd/ops/gru.ts";
import * as ops from "../../src/autograd/ops/index.ts";
import { lstm } from "../../src/autograd/ops/lstm.ts";
import { full, tensor, zeros, type Tensor } from "../../src/autograd/tensor.ts";
import { hostDType } from "../../src/core/dtype.ts";
import type { HostTensor } from "../../src/core/host-tensor.ts";
import type { Device } from "../../src/device/device.ts";
import type { FloatStorage } from "../ops/measure.ts";
import { Arguments } from "./torch-arguments.ts";
import * as composed from "./torch-compositions.ts";
import type { Reduction, TorchOp } from "./torch-compositions.ts";

/** A case as the reference files describe it: names and attributes are PyTorch's. */
export interface TorchCase {
  readonly op: string;
  readonly case: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: readonly string[];
  readonly outputs: number;
  readonly grads: readonly string[];
}

/** What a case gives: outputs in order, and the gradients of Σ output · cotangent by the inputs' names. */
export interface TorchResult {
  readonly outputs: readonly HostTensor[];
  /** Undefined where no gradient reached the input. */
  readonly grads: Readonly<Record<string, HostTensor | undefined>>;
}

/** Ours by the names of PyTorch's that take one tensor and no numbers. */
const UNARY: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  abs: ops.abs,
  absolute: ops.abs,
  ceil: ops.ceil,
  cos: ops.cos,
  erf: ops.erf,
  exp: ops.exp,
  expm1: ops.expm1,
  floor: ops.floor,
  gelu_tanh: ops.geluTanh,
  hardsigmoid: ops.hardsigmoid,
  hardswish: ops.hardswish,
  identity: (x) => ops.affine(x, 1, 0),
  log: ops.log,
  log10: (x) => ops.mul(ops.log(x), Math.LOG10E),
  log1p: ops.log1p,
  log2: (x) => ops.mul(ops.log(x), Math.LOG2E),
  logsigmoid: (x) => ops.neg(ops.softplus(ops.neg(x))),
  logical_not: ops.logicalNot,
  mish: ops.mish,
  neg: ops.neg,
  negative: ops.neg,
  reciprocal: ops.reciprocal,
  relu: ops.relu,
  relu6: ops.relu6,
  round: ops.round,
  rsqrt: ops.rsqrt,
  selu: (x) => ops.mul(ops.elu(x, 1.6732632423543772), 1.0507009873554805),
  sgn: ops.sign,
  sigmoid: ops.sigmoid,
  sign: ops.sign,
  silu: ops.silu,
  sin: ops.sin,
  softsign: (x) => ops.div(x, ops.add(ops.abs(x), 1)),
  sqrt: ops.sqrt,
  square: ops.square,
  swish: ops.silu,
  t: (x) => (x.shape.length < 2 ? x : ops.transpose(x)),
  tan: (x) => ops.div(ops.sin(x), ops.cos(x)),
  tanh: ops.tanh,
};

type BinaryOp = (a: Tensor, b: Tensor | number) => Tensor;

/** … that take two tensors, or a tensor and a number. */
const BINARY: Readonly<Record<string, BinaryOp>> = {
  add: ops.add,
  div: ops.div,
  divide: ops.div,
  eq: ops.equal,
  ge: ops.greaterEqual,
  greater: ops.greater,
  greater_equal: ops.greaterEqual,
  gt: ops.greater,
  le: ops.lessEqual,
  less: ops.less,
  less_equal: ops.lessEqual,
  lt: ops.less,
  maximum: ops.maximum,
  minimum: ops.minimum,
  mul: ops.mul,
  multiply: ops.mul,
  ne: ops.notEqual,
  not_equal: ops.notEqual,
  pow: ops.pow,
  rsub: (a, b) => ops.add(ops.neg(a), b),
  sub: ops.sub,
  subtract: ops.sub,
  true_divide: ops.div,
};

/** … that take axes away. */
const REDUCTIONS: Readonly<Record<string, Reduction>> = { amax: ops.max, amin: ops.min, logsumexp: ops.logSumExp, mean: ops.mean, prod: ops.prod, sum: ops.sum };

type PairLoss = (x: Tensor, y: Tensor, reduction: ops.LossReduction) => Tensor;

/** … that compare two tensors of one shape. */
const LOSSES: Readonly<Record<string, PairLoss>> = { binary_cross_entropy_with_logits: ops.bceWithLogitsLoss, bce_with_logits: ops.bceWithLogitsLoss, l1_loss: ops.l1Loss, mse_loss: ops.mseLoss };

function entries<T>(table: Readonly<Record<string, T>>, make: (fn: T) => TorchOp): Record<string, TorchOp> {
  return Object.fromEntries(Object.entries(table).map(([name, fn]) => [name, make(fn)]));
}

/** PyTorch's ops by their names, by means of ours. */
const SUPPORTED: Readonly<Record<string, TorchOp>> = {
  ...entries(UNARY, (fn) => (given) => [fn(given.tensor("x"))]),
  ...entries(BINARY, (fn) => (given) => [fn(given.tensor("a"), composed.right(given))]),
  ...entries(REDUCTIONS, composed.reduction),
  ...entries(LOSSES, (fn) => (given) => [fn(given.tensor("x"), given.tensor("y"), given.reduction())]),

  celu: (given) => {
    const alpha = given.number("alpha", 1);
    return [ops.mul(ops.elu(ops.div(given.tensor("x"), alpha)), alpha)];
  },
  clamp: (given) => [ops.clamp(given.tensor("x"), given.number("min", -Infinity), given.number("max", Infinity))],
  clip: (given) => [ops.clamp(given.tensor("x"), given.number("min", -Infinity), given.number("max", Infinity))],
  dropout: (given) => {
    if (given.flag("training", false) && given.number("p", 0.5) > 0) throw new Error("dropout in training draws other numbers than PyTorch");
    return [given.tensor("x")];
  },
  elu: (given) => [ops.elu(given.tensor("x"), given.number("alpha", 1))],
  gelu: (given) => [given.text("approximate", "none") === "tanh" ? ops.geluTanh(given.tensor("x")) : ops.gelu(given.tensor("x"))],
  hardtanh: (given) => [ops.hardtanh(given.tensor("x"), given.number("min_val", -1), given.number("max_val", 1))],
  leaky_relu: (given) => [ops.leakyRelu(given.tensor("x"), given.number("negative_slope", 0.01))],
  prelu: (given) => {
    const [x, weight] = [given.tensor("x"), given.tensor("weight")];
    const channels = weight.shape.length === 1 && weight.size > 1 && weight.size === x.shape[1] && x.shape.length > 2 && weight.size !== x.shape.at(-1);
    return [ops.sub(ops.relu(x), ops.mul(channels ? ops.reshape(weight, [-1, ...x.shape.slice(2).fill(1)]) : weight, ops.relu(ops.neg(x))))];
  },
  softplus: (given) => [ops.softplus(given.tensor("x"), given.number("beta", 1), given.number("threshold", 20))],

  argmax: composed.place(ops.argmax),
  argmin: composed.place(ops.argmin),
  argsort: (given) => composed.inOrder((x) => ops.sort(x, { descending: given.flag("descending", false) }))(given).slice(1),
  cumsum: (given) => [ops.cumsum(given.tensor("x"), given.number("dim"))],
  linalg_vector_norm: (given) => [composed.norm(given.tensor("x"), composed.orderOf(given), given.axes("dim"), given.flag("keepdim", false))],
  max: composed.extremum(ops.max, ops.argmax),
  min: composed.extremum(ops.min, ops.argmin),
  norm: (given) => [composed.norm(given.tensor("x"), composed.orderOf(given), given.axes("dim"), given.flag("keepdim", false))],
  normalize: (given) => {
    const [x, dim] = [given.tensor("x"), given.axes("dim") ?? [1]];
    return [ops.div(x, ops.maximum(composed.norm(x, composed.orderOf(given), dim, true), given.number("eps", 1e-12)))];
  },
  std: composed.spread(ops.std),
  sort: composed.inOrder((x, given) => ops.sort(x, { descending: given.flag("descending", false) })),
  topk: composed.inOrder((x, given) => ops.topK(x, given.number("k"), { largest: given.flag("largest", true) })),
  var: composed.spread(ops.variance),

  log_softmax: (given) => [ops.logSoftmax(given.tensor("x"), given.number("dim", -1))],
  softmax: (given) => [ops.softmax(given.tensor("x"), given.number("dim", -1))],
  softmin: (given) => [ops.softmax(ops.neg(given.tensor("x")), given.number("dim", -1))],

  addmm: (given) => [composed.addmm(given)],
  baddbmm: (given) => [composed.addmm(given)],
  bmm: (given) => [ops.matmul(given.tensor("a"), given.tensor("b"))],
  dot: (given) => [composed.product(given.tensor("a"), given.tensor("b"))],
  linear: (given) => [ops.linear(given.tensor("x"), given.tensor("weight"), given.optional("bias"))],
  matmul: (given) => [composed.product(given.tensor("a"), given.tensor("b"))],
  mm: (given) => [ops.matmul(given.tensor("a"), given.tensor("b"))],
  mv: (given) => [composed.product(given.tensor("a"), given.tensor("b"))],

  adaptive_avg_pool1d: (given) => [composed.windowed(given, 1, (x) => ops.adaptiveAvgPool2d(x, [1, given.number("output")]))],
  adaptive_avg_pool2d: (given) => [composed.windowed(given, 2, (x) => ops.adaptiveAvgPool2d(x, given.pair("output")))],
  avg_pool1d: composed.pool(1, "avg"),
  avg_pool2d: composed.pool(2, "avg"),
  conv1d: composed.conv(1),
  conv2d: composed.conv(2),
  conv_transpose1d: composed.convTranspose(1),
  conv_transpose2d: composed.convTranspose(2),
  max_pool1d: composed.pool(1, "max"),
  max_pool2d: composed.pool(2, "max"),

  batch_norm: (given) => {
    const x = given.tensor("x");
    const channels = [x.shape[1]];
    const [mean, variance] = [given.optional("running_mean") ?? zeros(x.device, channels), given.optional("running_var") ?? full(x.device, channels, 1)];
    const options = { training: given.flag("training", false), momentum: given.number("momentum", 0.1), eps: given.number("eps", 1e-5) };
    return [ops.batchNorm(x, given.optional("weight") ?? full(x.device, channels, 1), given.optional("bias") ?? zeros(x.device, channels), mean, variance, options), mean, variance];
  },
  group_norm: (given) => [ops.groupNorm(given.tensor("x"), given.number("groups"), composed.affineOf(given), given.number("eps", 1e-5))],
  instance_norm: (given) => [ops.instanceNorm(given.tensor("x"), composed.affineOf(given), given.number("eps", 1e-5))],
  layer_norm: (given) => [composed.overLast(given, (x, weight, bias, size) => ops.layerNorm(x, weight ?? full(x.device, [size], 1), bias ?? zeros(x.device, [size]), given.number("eps", 1e-5)))],
  rms_norm: (given) => [composed.overLast(given, (x, weight) => ops.rmsNorm(x, weight, given.number("eps", 1.1920928955078125e-7)))],

  cross_entropy: (given) => [composed.crossEntropy(given)],
  huber_loss: (given) => [ops.huberLoss(given.tensor("x"), given.tensor("y"), given.number("delta", 1), given.reduction())],
  kl_div: (given) => [composed.klDiv(given)],
  linear_cross_entropy: (given) => {
    const reduction = given.reduction();
    if (reduction === "none") throw new Error("linear_cross_entropy gives no single losses");
    const options = { ignoreIndex: given.number("ignore_index", -100), labelSmoothing: given.number("label_smoothing", 0), reduction, bias: given.optional("bias") };
    return [ops.linearCrossEntropy(given.tensor("x"), given.tensor("weight"), given.tensor("target"), options)];
  },
  nll_loss: (given) => [ops.nllLoss(given.tensor("logits"), given.tensor("target"), { weight: given.optional("weight"), ignoreIndex: given.number("ignore_index", -100), reduction: given.reduction() })],
  smooth_l1_loss: (given) => [ops.smoothL1Loss(given.tensor("x"), given.tensor("y"), given.number("beta", 1), given.reduction())],

  attention: (given) => [composed.attention(given)],
  scaled_dot_product_attention: (given) => [composed.attention(given)],
  gru: composed.recurrent((x, h0, weights) => {
    const { y, hn } = gru(x, h0, weights);
    return [y, hn];
  }),
  lstm: composed.recurrent((x, h0, weights, c0) => {
    const { y, hn, cn } = lstm(x, h0, c0, weights);
    return [y, hn, cn];
  }),
  rnn_relu: composed.plainRnn("relu"),
  rnn_tanh: composed.plainRnn("tanh"),

  embedding: (given) => [ops.embedding(given.tensor("weight"), given.tensor("ids"))],
  gather: (given) => [ops.gather(given.tensor("x"), given.number("dim"), given.tensor("index"))],
  index_select: (given) => [ops.indexSelect(given.tensor("x"), given.number("dim"), given.tensor("index"))],
  logical_and: (given) => [ops.logicalAnd(given.tensor("a"), given.tensor("b"))],
  logical_or: (given) => [ops.logicalOr(given.tensor("a"), given.tensor("b"))],
  masked_fill: (given) => [ops.maskedFill(given.tensor("x"), given.tensor("mask"), given.number("value"))],
  one_hot: (given) => [ops.oneHot(given.tensor("x"), given.number("num_classes"))],
  scatter: (given) => [composed.scatter(given)],
  scatter_add: (given) => [ops.scatterAdd(given.tensor("x"), given.number("dim"), given.tensor("index"), given.tensor("src"))],
  where: (given) => {
    const [condition, a, b] = given.all();
    return [ops.where(condition, a, b)];
  },

  broadcast_to: (given) => [composed.broadcastTo(given.tensor("x"), given.list("shape"))],
  cat: (given) => [ops.concat(given.all(), given.number("dim", 0))],
  chunk: composed.split,
  concat: (given) => [ops.concat(given.all(), given.number("dim", 0))],
  expand: (given) => [composed.broadcastTo(given.tensor("x"), given.list("shape"))],
  flatten: (given) => [ops.flatten(given.tensor("x"), given.number("start_dim", 0), given.number("end_dim", -1))],
  flip: (given) => [ops.flip(given.tensor("x"), given.list("dims"))],
  narrow: (given) => [ops.slice(given.tensor("x"), given.number("dim"), given.number("start"), given.number("start") + given.number("length"))],
  pad: (given) => [composed.pad(given)],
  permute: (given) => [ops.transpose(given.tensor("x"), given.list("dims"))],
  repeat: (given) => [composed.tile(given)],
  reshape: (given) => [ops.reshape(given.tensor("x"), given.list("shape"))],
  roll: (given) => [composed.roll(given)],
  select: (given) => {
    const [x, dim] = [given.tensor("x"), given.number("dim")];
    const index = given.number("index") < 0 ? given.number("index") + x.shape.at(dim)! : given.number("index");
    return [ops.squeeze(ops.slice(x, dim, index, index + 1), dim)];
  },
  slice: (given) => [composed.slice(given)],
  split: composed.split,
  squeeze: (given) => [ops.squeeze(given.tensor("x"), given.axes("dim"))],
  stack: (given) => [ops.stack(given.all(), given.number("dim", 0))],
  tile: (given) => [composed.tile(given)],
  transpose: (given) => [composed.transpose(given)],
  tril: (given) => [ops.tril(given.tensor("x"), given.number("diagonal", 0))],
  triu: (given) => [ops.triu(given.tensor("x"), given.number("diagonal", 0))],
  unsqueeze: (given) => [ops.unsqueeze(given.tensor("x"), given.number("dim"))],
  view: (given) => [ops.reshape(given.tensor("x"), given.list("shape"))],
};

/** Whether there is an op of ours behind a name of PyTorch's. */
export function isSupported(op: string): boolean {
  return Object.hasOwn(SUPPORTED, op);
}

/**
 * Runs a case of the reference on a device.
 * @param tensors By the names in the reference file without the case's prefix: `in/<name>`, `cotangent<k>`.
 * @param storage How the device stores float inputs.
 * @throws Error if the op is not supported, or a tensor or attribute is missing.
 */
export async function runTorchCase(device: Device, torchCase: TorchCase, tensors: ReadonlyMap<string, HostTensor>, storage: FloatStorage = "f32"): Promise<TorchResult> {
  if (!isSupported(torchCase.op)) throw new Error(`there is no op for PyTorch's ${torchCase.op}`);
  using _scope = device.scope();
  const upload = (name: string): Tensor => {
    const host = tensors.get(name);
    if (host === undefined) throw new Error(`the reference has no "${torchCase.op}/${torchCase.case}/${name}"`);
    return tensor(device, host.data, host.shape, host.dtype === "f32" ? storage : host.dtype);
  };
  const inputs = new Map(torchCase.inputs.map((name) => [name, upload(`in/${name}`)]));
  for (const name of torchCase.grads) {
    const input = inputs.get(name);
    if (input === undefined) throw new Error(`a gradient is asked for "${name}", which is no input`);
    input.requiresGrad = true;
  }
  const outputs = SUPPORTED[torchCase.op](new Arguments(inputs, torchCase.attrs));
  const terms = outputs.flatMap((output, k) => (tensors.has(`cotangent${k}`) ? [ops.sum(ops.mul(output, upload(`cotangent${k}`)))] : []));
  if (terms.length > 0) terms.reduce((total, term) => ops.add(total, term)).backward();

  // All are read at once: where a browser looks for finished work ten times a second, each wait would take that long.
  const download = async (found: Tensor): Promise<HostTensor> => ({ shape: found.shape, dtype: hostDType(found.dtype), data: await found.read() });
  const grads = torchCase.grads.map(async (name): Promise<[string, HostTensor | undefined]> => {
    const { grad } = inputs.get(name)!;
    return [name, grad === null ? undefined : await download(grad)];
  });
  const [found, foundGrads] = await Promise.all([Promise.all(outputs.map(download)), Promise.all(grads)]);
  return { outputs: found, grads: Object.fromEntries(foundGrads) };
}
