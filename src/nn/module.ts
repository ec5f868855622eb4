import { bytesPerElement, hostDType, typedArray, type DType } from "../core/dtype.ts";
import { ShapeError, SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import { Storage } from "../device/storage.ts";
import { cast } from "../autograd/ops/index.ts";
import { noGrad } from "../autograd/tape.ts";
import { Tensor } from "../autograd/tensor.ts";

/** Fills a new parameter; called with its number of elements. */
export type Init = (values: Float32Array, shape: Shape) => void;

/** Whether new parameters get initial values; see {@link uninitialised}. */
let initialising = true;

/**
 * Makes a module whose parameters and state are zeros, without drawing and writing initial values: for a model that is
 * about to be loaded, which is then built several times as fast, and without a copy of its weights on the host.
 *
 * @example
 * const model = uninitialised(() => new ResNet(builder, RESNET.resnet50));
 * await loadInto(model, reader);
 */
export function uninitialised<T>(make: () => T): T {
  const before = initialising;
  initialising = false;
  try {
    return make();
  } finally {
    initialising = before;
  }
}

/** Memory of a tensor that lives as long as its module, whatever scope or recording is open when it is made. */
function lasting(device: Device, shape: Shape, init: Init): Storage {
  const size = sizeOf(shape);
  const storage = device.allocatePersistent(bytesPerElement("f32") * size, `parameter ${showShape(shape)}`, !initialising);
  if (!initialising) return storage;
  const values = typedArray("f32", size);
  init(values, shape);
  device.write(storage, values);
  return storage;
}

/** A trained tensor. Set `requiresGrad = false` to freeze it. */
export class Parameter extends Tensor {
  constructor(device: Device, shape: Shape, init: Init) {
    super(device, shape, "f32", lasting(device, shape, init), true);
  }

  /**
   * Moves the values to memory of another float type.
   * @param moved Old and new memory of parameters that were moved before: some share theirs.
   * @throws DeviceError as {@link Module.to}.
   */
  store(dtype: "f32" | "f16", moved = new Map<Storage, Storage>()): void {
    if (dtype === this.dtype) return;
    const { device, storage } = this;
    if (device.tracing !== null) throw new SightlineError("store: a parameter cannot change its type while a step is recorded");
    const known = moved.get(storage);
    this.storage = known ?? noGrad(() => cast(this.detach(), dtype)).keep().storage;
    (this as { dtype: DType }).dtype = dtype;
    moved.set(storage, this.storage);
    if (known === undefined) device.release(storage);
    device.relocations++; // recordings use the old memory
  }
}

/** A tensor that belongs to the state of a module but is not trained, such as a running mean. */
export class StateTensor extends Tensor {
  /** @param values What fills it, or a tensor of that shape, whose memory it takes over. */
  constructor(device: Device, shape: Shape, values: Init | Tensor) {
    if (values instanceof Tensor) super(device, shape, values.dtype, values.keep().storage);
    else super(device, shape, "f32", lasting(device, shape, values));
  }
}

/**
 * A part of a model: its fields that are parameters, state tensors, modules or arrays of modules form a tree, in the
 * order in which they were assigned. Fields have the names that published checkpoints use.
 */
export abstract class Module {
  /** Whether layers behave as in training (dropout drops, batch norm uses the batch); see {@link train}. */
  training = true;
  /** Whether transformers keep only what goes into their blocks; see {@link checkpointBlocks}. */
  checkpointing = false;

  /** Sets training mode here and below. */
  train(on = true): this {
    for (const module of this.modules()) module.training = on;
    return this;
  }

  /** Sets evaluation mode here and below. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Lets the blocks of transformers here and below compute what is inside them once more in the backward pass, instead of keeping it:
   * the same gradients, in less memory and about a third more time. Other modules take no notice.
   */
  checkpointBlocks(on = true): this {
    for (const module of this.modules()) module.checkpointing = on;
    return this;
  }

  /** This module and all below it. */
  modules(): Module[] {
    return [this, ...this.children().flatMap(([, child]) => child.modules())];
  }

  /** Names and parameters, here and below, in order. */
  namedParameters(): [string, Parameter][] {
    return this.namedTensors().filter((entry): entry is [string, Parameter] => entry[1] instanceof Parameter);
  }

  parameters(): Parameter[] {
    return this.namedParameters().map(([, parameter]) => parameter);
  }

  /** Number of trained values. */
  parameterCount(): number {
    return this.parameters().reduce((sum, parameter) => sum + parameter.size, 0);
  }

  /** Names and tensors of the state (parameters and state tensors), here and below, in order. */
  namedTensors(prefix = ""): [string, Tensor][] {
    return Object.entries(this).flatMap(([field, value]): [string, Tensor][] => {
      if (value instanceof Parameter || value instanceof StateTensor) return [[prefix + field, value]];
      return modulesIn(field, value).flatMap(([name, child]) => child.namedTensors(`${prefix}${name}.`));
    });
  }

  /** Copies the state to the host, in order. */
  async stateDict(): Promise<Map<string, HostTensor>> {
    const entries = this.namedTensors().map(async ([name, tensor]) => [name, { dtype: hostDType(tensor.dtype), shape: tensor.shape, data: await tensor.read() }] as const);
    return new Map(await Promise.all(entries));
  }

  /**
   * Replaces the state. Nothing is written unless everything fits.
   * @throws ShapeError if a tensor is missing or has another shape or type.
   */
  loadStateDict(state: ReadonlyMap<string, HostTensor>): void {
    const tensors = this.namedTensors();
    for (const [name, tensor] of tensors) {
      const found = state.get(name);
      if (found === undefined) throw new ShapeError(`loadStateDict: "${name}" ${showShape(tensor.shape)} is missing`);
      if (!sameShape(found.shape, tensor.shape) || found.dtype !== hostDType(tensor.dtype)) {
        throw new ShapeError(`loadStateDict: "${name}" must be ${hostDType(tensor.dtype)} ${showShape(tensor.shape)}; got ${found.dtype} ${showShape(found.shape)}`);
      }
    }
    for (const [name, tensor] of tensors) tensor.write(state.get(name)!.data);
  }

  /**
   * Stores all parameters here and below as f16 or f32 from now on. f16 takes half the memory and is for using a model;
   * for training, leave them in f32 and compute under `autocast`.
   * @throws DeviceError if the adapter has no `shader-f16`.
   */
  to(dtype: "f32" | "f16"): this {
    const moved = new Map<Storage, Storage>();
    for (const parameter of this.parameters()) parameter.store(dtype, moved);
    return this;
  }

  /** Freezes (or thaws) all parameters here and below. */
  freeze(frozen = true): this {
    for (const parameter of this.parameters()) parameter.requiresGrad = !frozen;
    return this;
  }

  /** Gives the memory of the whole state back. */
  dispose(): void {
    for (const [, tensor] of this.namedTensors()) tensor.dispose();
  }

  private children(): [string, Module][] {
    return Object.entries(this).flatMap(([field, value]) => modulesIn(field, value));
  }
}

/** Modules in a field: itself, or the elements of an array under their indices. */
function modulesIn(field: string, value: unknown): [string, Module][] {
  if (value instanceof Module) return [[field, value]];
  if (!Array.isArray(value)) return [];
  return value.flatMap((element, i): [string, Module][] => (element instanceof Module ? [[`${field}.${i}`, element]] : []));
}
