import * as ops from "../../src/autograd/ops/index.ts";
import { Tensor } from "../../src/autograd/tensor.ts";
import type { HostTensor } from "../../src/core/host-tensor.ts";
import type { Device } from "../../src/device/device.ts";

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
  readonly grads: Readonly<Record<string, HostTensor>>;
}

/** The inputs of a case by name, and its attributes. @throws Error for a name or type that it has not. */
class Arguments {
  private readonly tensors: ReadonlyMap<string, Tensor>;
  private readonly attrs: TorchCase["attrs"];

  constructor(tensors: ReadonlyMap<string, Tensor>, attrs: TorchCase["attrs"]) {
    this.tensors = tensors;
    this.attrs = attrs;
  }

  tensor(name: string): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new Error(`the case has no input "${name}"`);
    return tensor;
  }

  optional(name: string): Tensor | undefined {
    return this.tensors.get(name);
  }

  all(): Tensor[] {
    return [...this.tensors.values()];
  }

  number(name: string): number {
    return this.attribute(name, "number");
  }

  flag(name: string): boolean {
    return this.attribute(name, "boolean");
  }

  /** Undefined where the case does not give it. */
  axes(name: string): number[] | undefined {
    const value = this.attrs[name];
    return value === undefined ? undefined : ([value].flat() as number[]);
  }

  reduction(): "mean" | "sum" {
    const value = this.attrs.reduction;
    if (value !== "mean" && value !== "sum") throw new Error(`reduction must be mean or sum; got ${String(value)}`);
    return value;
  }

  private attribute<T extends "number" | "boolean">(name: string, type: T): T extends "number" ? number : boolean {
    const value = this.attrs[name];
    if (typeof value !== type) throw new Error(`attribute "${name}" must be a ${type}; got ${String(value)}`);
    return value as T extends "number" ? number : boolean;
  }
}

type TorchOp = (given: Arguments) => readonly Tensor[];

function elementwise(fn: (x: Tensor) => Tensor): TorchOp {
  return (given) => [fn(given.tensor("x"))];
}

function binary(fn: (a: Tensor, b: Tensor) => Tensor): TorchOp {
  return (given) => [fn(given.tensor("a"), given.tensor("b"))];
}

function reduction(fn: (x: Tensor, axes: readonly number[] | undefined, keepDims: boolean) => Tensor): TorchOp {
  return (given) => {
    const axes = given.axes("dim");
    return [fn(given.tensor("x"), axes, axes !== undefined && given.flag("keepdim"))];
  };
}

/** Ours works along the last axis. */
function lastAxis(fn: (x: Tensor) => Tensor): TorchOp {
  return (given) => {
    const x = given.tensor("x");
    const dim = given.number("dim");
    if (dim !== -1 && dim !== x.shape.length - 1) throw new Error(`dim must be the last one; got ${dim}`);
    return [fn(x)];
  };
}

function pool(fn: typeof ops.maxPool2d): TorchOp {
  return (given) => [fn(given.tensor("x"), { kernel: given.number("kernel"), stride: given.number("stride"), padding: given.number("padding") })];
}

function lstmWeights(given: Arguments): ops.LstmWeights[] {
  return Array.from({ length: given.number("layers") }, (_, layer) => ({
    weightIh: given.tensor(`weight_ih_l${layer}`),
    weightHh: given.tensor(`weight_hh_l${layer}`),
    biasIh: given.tensor(`bias_ih_l${layer}`),
    biasHh: given.tensor(`bias_hh_l${layer}`),
  }));
}

/** PyTorch's ops by their names, by means of ours. */
const SUPPORTED: Readonly<Record<string, TorchOp>> = {
  matmul: binary((a, b) => ops.matmul(a, b)),
  linear: (given) => [ops.linear(given.tensor("x"), given.tensor("weight"), given.optional("bias"))],
  conv2d: (given) => {
    const options = { stride: given.number("stride"), padding: given.number("padding"), dilation: given.number("dilation"), groups: given.number("groups") };
    return [ops.conv2d(given.tensor("x"), given.tensor("weight"), given.optional("bias"), options)];
  },
  max_pool2d: pool(ops.maxPool2d),
  avg_pool2d: pool(ops.avgPool2d),
  adaptive_avg_pool2d: (given) => [ops.adaptiveAvgPool2d(given.tensor("x"), given.number("output"))],
  layer_norm: (given) => [ops.layerNorm(given.tensor("x"), given.tensor("weight"), given.tensor("bias"), given.number("eps"))],
  batch_norm: (given) => {
    const [mean, variance] = [given.tensor("running_mean"), given.tensor("running_var")];
    const options = { training: given.flag("training"), momentum: given.number("momentum"), eps: given.number("eps") };
    return [ops.batchNorm(given.tensor("x"), given.tensor("weight"), given.tensor("bias"), mean, variance, options), mean, variance];
  },
  relu: elementwise(ops.relu),
  gelu: elementwise(ops.gelu),
  gelu_tanh: elementwise(ops.geluTanh),
  sigmoid: elementwise(ops.sigmoid),
  tanh: elementwise(ops.tanh),
  silu: elementwise(ops.silu),
  softmax: lastAxis(ops.softmax),
  log_softmax: lastAxis(ops.logSoftmax),
  cross_entropy: (given) => {
    const options = { ignoreIndex: given.number("ignore_index"), labelSmoothing: given.number("label_smoothing"), reduction: given.reduction() };
    return [ops.crossEntropy(given.tensor("logits"), given.tensor("target"), options)];
  },
  mse_loss: (given) => [ops.mseLoss(given.tensor("x"), given.tensor("y"))],
  embedding: (given) => [ops.embedding(given.tensor("weight"), given.tensor("ids"))],
  lstm: (given) => {
    const { y, hn, cn } = ops.lstm(given.tensor("x"), given.tensor("h0"), given.tensor("c0"), lstmWeights(given));
    return [y, hn, cn];
  },
  add: binary(ops.add),
  sub: binary(ops.sub),
  mul: binary(ops.mul),
  div: binary(ops.div),
  sum: reduction(ops.sum),
  mean: reduction(ops.mean),
  transpose: (given) => [ops.transpose(given.tensor("x"), given.axes("perm"))],
  concat: (given) => [ops.concat(given.all(), given.number("dim"))],
};

/** Whether there is an op of ours behind a name of PyTorch's. */
export function isSupported(op: string): boolean {
  return op in SUPPORTED;
}

/**
 * Runs a case of the reference on a device.
 * @param tensors By the names in the reference file without the case's prefix: `in/<name>`, `cotangent<k>`.
 * @throws Error if the op is not supported, or a tensor or attribute is missing.
 */
export async function runTorchCase(device: Device, torchCase: TorchCase, tensors: ReadonlyMap<string, HostTensor>): Promise<TorchResult> {
  const op = SUPPORTED[torchCase.op];
  if (op === undefined) throw new Error(`no op for ${torchCase.op}`);
  using _scope = device.scope();
  const upload = (name: string, requiresGrad = false): Tensor => {
    const host = tensors.get(name);
    if (host === undefined) throw new Error(`${torchCase.op}/${torchCase.case}: the reference has no "${name}"`);
    return new Tensor(device, host.shape, host.dtype, device.allocateConstant(host.data, name), requiresGrad);
  };
  const inputs = new Map(torchCase.inputs.map((name) => [name, upload(`in/${name}`, torchCase.grads.includes(name))]));
  const outputs = op(new Arguments(inputs, torchCase.attrs));
  const terms = outputs.flatMap((output, k) => (tensors.has(`cotangent${k}`) ? [ops.sum(ops.mul(output, upload(`cotangent${k}`)))] : []));
  terms.reduce((total, term) => ops.add(total, term)).backward();

  const download = async (tensor: Tensor): Promise<HostTensor> => ({ shape: tensor.shape, dtype: tensor.dtype, data: await tensor.read() });
  const grads: Record<string, HostTensor> = {};
  for (const name of torchCase.grads) {
    const { grad } = inputs.get(name)!;
    if (grad === null) throw new Error(`${torchCase.op}/${torchCase.case}: no gradient reached "${name}"`);
    grads[name] = await download(grad);
  }
  return { outputs: await Promise.all(outputs.map(download)), grads };
}
