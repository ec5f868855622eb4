import { bytesPerElement, decode, dtypeOf, encode, hostDType, storageBytes, typedArray, type DType, type TypedArray, type TypedArrayOf } from "../core/dtype.ts";
import { ShapeError, SightlineError } from "../core/errors.ts";
import { checkShape, sameShape, showShape, sizeOf, type Shape } from "../core/shape.ts";
import type { Device } from "../device/device.ts";
import type { Storage } from "../device/storage.ts";
import type { TensorSpec } from "../kernels/kernel.ts";
import { BINDING_ALIGNMENT } from "../kernels/windows.ts";
import { backward } from "./tape.ts";
import type { TapeNode } from "./tape.ts";

/**
 * A dense, row-major array on a device.
 *
 * Ops don't run at once: they are collected and submitted together when a value is read or a step ends. A tensor made
 * inside a recording or a `using scope = device.scope()` belongs to it; any other lives until {@link dispose}.
 */
export class Tensor implements TensorSpec {
  readonly device: Device;
  readonly shape: Shape;
  /** How elements are stored; that of a parameter changes with `Module.to`. */
  readonly dtype: DType;
  /** The memory; views share it, and an optimiser may move a parameter's. */
  storage: Storage;
  /** Where the values begin in the storage: 0 but for {@link window}s. */
  readonly byteOffset: number;
  /** Whether {@link backward} of what is computed from this tensor shall reach it. */
  requiresGrad: boolean;
  /** The gradient after a backward pass, for leaves that require it. */
  grad: Tensor | null = null;
  /** The op that made this tensor, where a gradient flows through it. */
  node: TapeNode | null = null;

  /** @throws ShapeError unless every size is a whole number of at least 1: no tensor is empty. */
  constructor(device: Device, shape: Shape, dtype: DType, storage: Storage, requiresGrad = false, byteOffset = 0) {
    checkShape(shape, "Tensor");
    this.device = device;
    this.shape = shape;
    this.dtype = dtype;
    this.storage = storage;
    this.requiresGrad = requiresGrad;
    this.byteOffset = byteOffset;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** Bytes that the values take, whole 32-bit words. */
  get bytes(): number {
    return storageBytes(this.size, this.dtype, this.device.limits.emulateF16);
  }

  /** All values, row-major. Waits for everything they depend on. */
  async read(): Promise<TypedArray> {
    return decode(await this.device.read(this.storage, this.byteOffset, this.bytes), this.dtype, this.size, this.device.limits.emulateF16);
  }

  /** The value of a tensor with one element. @throws ShapeError for more. */
  async item(): Promise<number> {
    if (this.size !== 1) throw new ShapeError(`item: the tensor must have one element; got shape ${showShape(this.shape)}`);
    return (await this.read())[0];
  }

  /**
   * Replaces all values.
   * @throws ShapeError if type or number of the values don't fit.
   */
  write(data: TypedArray): void {
    if (data.length !== this.size) {
      throw new ShapeError(`write: needs ${this.size} ${hostDType(this.dtype)} values for shape ${showShape(this.shape)}; got ${data.length} of ${dtypeOf(data)}`);
    }
    this.writePart(data, 0);
  }

  /**
   * Replaces the values from element `begin` on, in row-major order, as many as are given.
   * @throws ShapeError if type or number of the values don't fit, or a part of an f16 tensor begins or ends at an odd element.
   */
  writePart(data: TypedArray, begin: number): void {
    const end = begin + data.length;
    if (dtypeOf(data) !== hostDType(this.dtype) || !(Number.isInteger(begin) && begin >= 0 && end <= this.size)) {
      throw new ShapeError(`write: needs ${hostDType(this.dtype)} values for elements 0..${this.size} of shape ${showShape(this.shape)}; got ${dtypeOf(data)} for ${begin}..${end}`);
    }
    if (this.dtype === "f16" && (begin % 2 !== 0 || (end % 2 !== 0 && end !== this.size))) {
      throw new ShapeError(`write: a part of an f16 tensor must begin and end at even elements, as two share a word; got ${begin}..${end} of ${this.size}`);
    }
    const { emulateF16 } = this.device.limits;
    this.device.write(this.storage, encode(data, this.dtype, emulateF16), this.byteOffset + begin * bytesPerElement(this.dtype, emulateF16));
  }

  /** The same values, cut off from the tape. */
  detach(): Tensor {
    return this.window(0, this.shape);
  }

  /** The same memory under another shape, cut off from the tape; the op `reshape` is the differentiable one. */
  view(shape: Shape): Tensor {
    if (sizeOf(shape) !== this.size) throw new ShapeError(`view: sizes must agree; got ${showShape(this.shape)} to ${showShape(shape)}`);
    return this.window(0, shape);
  }

  /**
   * Rows `begin` … `end` − 1 of the first axis in the same memory, cut off from the tape; the op `slice` is the
   * differentiable one, and copies.
   * @throws ShapeError unless 0 ≤ begin < end ≤ the number of rows, and they begin where a binding may.
   */
  rows(begin: number, end: number): Tensor {
    const [rows, ...row] = this.shape;
    if (!(begin >= 0 && begin < end && end <= rows)) throw new ShapeError(`rows: they must lie in 0..${rows} of ${showShape(this.shape)}; got ${begin}..${end}`);
    return this.window(begin * sizeOf(row), [end - begin, ...row]);
  }

  /**
   * The values from element `begin` on under a shape, in the same memory and cut off from the tape.
   * @throws ShapeError if the window begins where no binding may.
   */
  window(begin: number, shape: Shape): Tensor {
    const byteOffset = this.byteOffset + begin * bytesPerElement(this.dtype, this.device.limits.emulateF16);
    if (byteOffset % BINDING_ALIGNMENT !== 0) throw new ShapeError(`window: it must begin at a multiple of ${BINDING_ALIGNMENT} bytes; got byte ${byteOffset}`);
    return new Tensor(this.device, shape, this.dtype, this.storage, false, byteOffset);
  }

  /**
   * Computes the gradients of this tensor for every leaf it was computed from, and adds them to their `grad`.
   * @param gradient The gradient of this tensor; 1 where it is a scalar.
   * @throws ShapeError if the tensor is no scalar and no gradient is given.
   */
  backward(gradient?: Tensor): void {
    if (gradient === undefined && this.size !== 1) {
      throw new ShapeError(`backward: the tensor must be a scalar unless its gradient is given; got shape ${showShape(this.shape)}`, "call sum() or mean() first, or pass the gradient");
    }
    if (gradient !== undefined && !sameShape(gradient.shape, this.shape)) {
      throw new ShapeError(`backward: the gradient must have shape ${showShape(this.shape)}; got ${showShape(gradient.shape)}`);
    }
    backward(this, gradient ?? full(this.device, this.shape, 1));
  }

  /** Takes the tensor out of all open scopes, so that it lives until {@link dispose}. */
  keep(): this {
    this.device.keep(this.storage);
    return this;
  }

  /** Gives the memory back. Views share it. */
  dispose(): void {
    this.device.release(this.storage);
  }
}

/**
 * A tensor with the given values.
 * @param dtype The array's, unless it shall be stored as f16.
 * @throws ShapeError if the number of values is not that of the shape, or the array does not hold values of that dtype.
 */
export function tensor(device: Device, data: TypedArray, shape: Shape, dtype: DType = dtypeOf(data)): Tensor {
  checkShape(shape, "tensor");
  if (data.length !== sizeOf(shape)) throw new ShapeError(`tensor: shape ${showShape(shape)} needs ${sizeOf(shape)} values; got ${data.length}`);
  if (hostDType(dtype) !== dtypeOf(data)) throw new ShapeError(`tensor: ${dtype} needs values of ${hostDType(dtype)}; got ${dtypeOf(data)}`);
  return new Tensor(device, shape, dtype, device.sink.allocateConstant(encode(data, dtype, device.limits.emulateF16), "constant"));
}

/** A tensor of one repeated value. @throws ShapeError unless every size is a whole number of at least 1. */
export function full<D extends DType = "f32">(device: Device, shape: Shape, value: number, dtype: D = "f32" as D): Tensor {
  checkShape(shape, "full");
  const data: TypedArrayOf<D> = typedArray(dtype, sizeOf(shape));
  return tensor(device, data.fill(value), shape, dtype);
}

export function zeros(device: Device, shape: Shape, dtype: DType = "f32"): Tensor {
  return full(device, shape, 0, dtype);
}

/** A result of an op: memory from the recording or scope that is open, undefined contents. @throws ShapeError if it would be empty. */
export function allocateTensor(device: Device, { shape, dtype }: TensorSpec, label: string): Tensor {
  checkShape(shape, label);
  return new Tensor(device, shape, dtype, device.sink.allocate(storageBytes(sizeOf(shape), dtype, device.limits.emulateF16), label));
}

/** The one device of all tensors. @throws SightlineError if they live on several. */
export function deviceOf(tensors: readonly Tensor[], what: string): Device {
  const { device } = tensors[0];
  if (tensors.some((other) => other.device !== device)) throw new SightlineError(`${what}: all tensors must live on one device`);
  return device;
}
