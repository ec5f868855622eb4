/** Holding a model against what PyTorch computed with the same weights. */

import type { Tensor } from "../../src/autograd/tensor.ts";
import { tensor } from "../../src/autograd/tensor.ts";
import type { SequenceDecoder } from "../../src/caption/decode.ts";
import type { Assembly } from "../../src/checkpoint/layout.ts";
import { matchKeys } from "../../src/checkpoint/matching.ts";
import { shapesOf } from "../../src/checkpoint/pairing.ts";
import type { CheckpointReader } from "../../src/checkpoint/reader.ts";
import type { HostInput, HostTensor } from "../../src/core/host-tensor.ts";
import type { TypedArray } from "../../src/core/dtype.ts";
import { sameShape, showShape, type Shape } from "../../src/core/shape.ts";
import type { Device } from "../../src/device/device.ts";
import type { Module } from "../../src/nn/module.ts";
import { relativeError, type Measured } from "../ops/measure.ts";

/** Relative errors that are allowed, and why. */
export const MODEL_TOLERANCES = {
  forward: { error: 1e-4, reason: "a few dozen layers in f32, each with its own rounding" },
  gradient: { error: 1e-3, reason: "as many layers again on the way back, and cancellation in sums over the batch" },
  zeroGradient: { error: 1e-5, reason: "absolute: the true gradient is 0 (of a bias in front of batch norm, or of keys before softmax), and what is left is rounding" },
  losses: { error: 1e-3, reason: "ten steps of training, each in f32" },
  lateLosses: { error: 0.1, reason: "batch norm over two pictures: PyTorch's own trails in f32 and f64 part by 4 % after three steps" },
  probability: { error: 0.02, reason: "absolute: the pictures go through another decoder and another resize" },
  same: { error: 0, reason: "words and stored weights are equal or not" },
} as const;

const GRADIENT = "grad/";

/** The bias of keys adds the same to all scores of a query, which softmax does not see. */
const KEY_BIAS = /(^|\.)(k|key|k_proj)\.bias$/;

/** Values of a model's tensor in the order of the stored ones that it is made of, one behind the other. */
function asStored(values: TypedArray, shape: Shape, { transposed }: Assembly): TypedArray {
  if (!transposed || shape.length !== 2) return values;
  const [rows, columns] = shape;
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
}

function zeroError(found: TypedArray, expected: TypedArray): { error: number; tolerance: number } {
  return { error: Array.from(expected, (value, i) => Math.abs(found[i] - value)).reduce((most, difference) => Math.max(most, difference), 0), tolerance: MODEL_TOLERANCES.zeroGradient.error };
}

/** Compares tensors with those that a file holds under the same names. */
export class ModelMeasure {
  readonly device: Device;
  readonly measured: Measured[] = [];
  private readonly reader: CheckpointReader;

  constructor(device: Device, reader: CheckpointReader) {
    this.device = device;
    this.reader = reader;
  }

  has(name: string): boolean {
    return this.reader.tensors.has(name);
  }

  /** What the file holds. @throws CheckpointError if there is no such tensor. */
  host(name: string): Promise<HostTensor> {
    return this.reader.read(name);
  }

  /** The same on the device. */
  async input(name: string): Promise<Tensor> {
    const { data, shape } = await this.host(name);
    return tensor(this.device, data, shape);
  }

  /** The same, where the file holds it. */
  async optional(name: string): Promise<Tensor | undefined> {
    return this.has(name) ? this.input(name) : undefined;
  }

  /** An output, an intermediate or a loss; what the file does not hold is left out. */
  async output(what: string, found: Tensor, tolerance: number = MODEL_TOLERANCES.forward.error): Promise<void> {
    if (!this.has(what)) return;
    const expected = await this.host(what);
    const fits = sameShape(found.shape, expected.shape) || (expected.shape.length === 0 && found.size === 1);
    const problem = fits ? undefined : `the shape must be ${showShape(expected.shape)}; got ${showShape(found.shape)}`;
    this.measured.push({ what, error: relativeError(await found.read(), expected.data), tolerance, problem });
  }

  /** A loss, and the gradients that it has; more arguments as for {@link gradients}. */
  async loss(what: string, loss: Tensor, module: Module, zero?: RegExp): Promise<void> {
    loss.backward();
    await this.output(what, loss);
    await this.gradients(module, zero);
  }

  /**
   * All gradients, stored as `grad/` and the published name of the parameter; what is one tensor here may be several there.
   * @param zero Published names of more parameters whose true gradient is zero, beside {@link KEY_BIAS}.
   */
  async gradients(module: Module, zero = KEY_BIAS): Promise<void> {
    const parameters = new Map(module.namedParameters());
    const stored = new Map([...this.reader.tensors].filter(([name]) => name.startsWith(GRADIENT)));
    const { assemblies } = matchKeys(shapesOf(parameters), shapesOf(stored), { ignore: [/./], prefix: GRADIENT, file: this.reader.file });
    for (const [name, assembly] of assemblies) {
      const { grad } = parameters.get(name)!;
      let found = grad === null ? null : asStored(await grad.read(), grad.shape, assembly);
      for (const what of assembly.pieces) {
        const { data: expected } = await this.host(what);
        if (found === null) this.measured.push({ what, error: Infinity, tolerance: MODEL_TOLERANCES.gradient.error, problem: "no gradient reached the parameter" });
        else this.measured.push({ what, ...([KEY_BIAS, zero].some((pattern) => pattern.test(what.slice(GRADIENT.length))) ? zeroError(found, expected) : { error: relativeError(found.slice(0, expected.length), expected), tolerance: MODEL_TOLERANCES.gradient.error }) });
        found = found?.slice(expected.length) ?? null;
      }
    }
    const used = new Set([...assemblies.values()].flatMap(({ pieces }) => pieces));
    for (const what of stored.keys()) {
      if (!used.has(what)) this.measured.push({ what, error: Infinity, tolerance: MODEL_TOLERANCES.gradient.error, problem: "the model has no such parameter" });
    }
  }

  /** Words that a decoder says for each row of the inputs, against the expected ones; one that fails is a finding too. */
  async words(what: string, decoder: SequenceDecoder, inputs: readonly HostInput[], expected: readonly (readonly number[])[]): Promise<void> {
    try {
      const texts = await decoder.decode(...inputs);
      const said = texts.map(([best]) => best.ids);
      const same = JSON.stringify(said) === JSON.stringify(expected);
      this.measured.push({ what, error: same ? 0 : 1, tolerance: MODEL_TOLERANCES.same.error, problem: same ? undefined : `expected ${JSON.stringify(expected)}; got ${JSON.stringify(said)}` });
    } catch (error) {
      this.measured.push({ what, error: Infinity, tolerance: MODEL_TOLERANCES.same.error, problem: error instanceof Error ? error.message : String(error) });
    } finally {
      decoder.dispose();
    }
  }

  /** Losses of training, step by step. */
  losses(what: string, found: readonly number[], expected: readonly number[], tolerance: number = MODEL_TOLERANCES.losses.error): void {
    const error = expected.reduce((most, value, i) => Math.max(most, Math.abs(found[i] / value - 1)), 0);
    this.measured.push({ what, error, tolerance });
  }

  /** What was loaded, read back and compared with another file of the same weights, or with the file itself. */
  async weights(module: Module, expected: ReadonlyMap<string, HostTensor>): Promise<void> {
    let error = 0;
    let problem: string | undefined;
    for (const [name, found] of await module.stateDict()) {
      const stored = expected.get(name);
      const differs = stored === undefined ? Infinity : relativeError(found.data, stored.data);
      if (differs > error) [error, problem] = [differs, `${name} differs`];
    }
    this.measured.push({ what: "weights", error, tolerance: MODEL_TOLERANCES.same.error, problem });
  }
}
