import { dtypeOf } from "../core/dtype.ts";
import { ShapeError } from "../core/errors.ts";
import type { HostInput } from "../core/host-tensor.ts";
import { checkShape, sizeOf, showShape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import type { CompileProgress } from "../device/pipelines.ts";
import type { Recording } from "../device/recording.ts";
import { Tensor } from "./tensor.ts";

/** What a recorded function returns: named tensors. */
export type Outputs = Readonly<Record<string, Tensor>>;

export interface RecordedOptions {
  /** Called while the pipelines of a new recording compile. */
  readonly onCompile?: CompileProgress;
}

/** A step that is traced once for each set of input shapes and replayed after that. */
export interface RecordedStep<T extends Outputs> {
  /**
   * Runs the step. The outputs are the same tensors at each run, overwritten by the next one: start reading them
   * (`read()`, `item()`) before it.
   */
  run(...inputs: readonly HostInput[]): Promise<T>;
  /** The recording that served the last run; null before. */
  readonly recording: Recording | null;
  dispose(): void;
}

interface Trace<T> {
  readonly recording: Recording;
  readonly inputs: readonly Tensor[];
  readonly outputs: T;
  readonly relocations: number;
}

/**
 * Makes a step out of a function on tensors. Its first run with certain input shapes traces the function; later runs
 * write the inputs and replay, without running the function again: all that varies must come in through inputs, or
 * through tensors and hooks that write themselves (learning rates, random counters).
 *
 * @example
 * const step = recorded(device, "train step", (images, ids) => {
 *   const loss = model.loss(images, ids);
 *   loss.backward();
 *   optimizer.step();
 *   return { loss };
 * });
 * const { loss } = await step.run({ shape: [32, 3, 64, 64], data: pixels }, { shape: [32, 20], data: ids });
 */
export function recorded<T extends Outputs>(device: Device, name: string, trace: (...inputs: Tensor[]) => T, options: RecordedOptions = {}): RecordedStep<T> {
  const traces = new Map<string, Trace<T>>();
  let last: Trace<T> | null = null;
  /** The run that is not submitted yet: runs go one after the other, however they are called. */
  let submitting: Promise<unknown> | null = null;

  async function record(inputs: readonly HostInput[]): Promise<Trace<T>> {
    const { recording, result } = device.record(name, (open) => {
      const tensors = inputs.map(({ shape, data }, i) => new Tensor(device, shape, dtypeOf(data), open.allocateConstant(data, `${name} input ${i}`)));
      return { tensors, outputs: trace(...tensors) };
    });
    await recording.finish(Object.values(result.outputs).map((output) => output.storage), options.onCompile);
    for (const output of Object.values(result.outputs)) output.node = null;
    return { recording, inputs: result.tensors, outputs: result.outputs, relocations: device.relocations };
  }

  async function runNow(inputs: readonly HostInput[]): Promise<T> {
    for (const { shape, data } of inputs) checkInput(name, shape, data.length);
    const key = inputs.map(({ shape, data }) => `${dtypeOf(data)}${showShape(shape)}`).join();
    let current = traces.get(key);
    if (current !== undefined && current.relocations !== device.relocations) {
      await device.idle();
      current.recording.dispose();
      current = undefined;
    }
    if (current === undefined) {
      current = await record(inputs);
      traces.set(key, current);
    } else {
      if (device.busy) await device.ready(); // the step before may still have to read its inputs
      current.inputs.forEach((tensor, i) => tensor.write(inputs[i].data));
    }
    last = current;
    await device.run(current.recording);
    return current.outputs;
  }

  return {
    get recording() {
      return last?.recording ?? null;
    },
    async run(...inputs) {
      while (submitting !== null) await submitting.catch(() => undefined);
      const result = runNow(inputs);
      submitting = result;
      try {
        return await result;
      } finally {
        submitting = null;
      }
    },
    dispose() {
      for (const { recording } of traces.values()) recording.dispose();
      traces.clear();
      last = null;
    },
  };
}

function checkInput(name: string, shape: readonly number[], length: number): void {
  checkShape(shape, name);
  if (length !== sizeOf(shape)) throw new ShapeError(`${name}: an input of shape ${showShape(shape)} needs ${sizeOf(shape)} values; got ${length}`);
}
