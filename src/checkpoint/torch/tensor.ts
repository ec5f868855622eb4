/** PyTorch's storages and tensors as they stand in pickles: where the values lie, not the values. */

import { isWholeNumber } from "../safetensors.ts";
import { describeValue, isSequence, PickleGlobal, type PickleValue, type Refuse } from "./pickle-values.ts";
import { STORED_BYTES, type StoredDType, type StoredTensor } from "../stored.ts";

const MAX_RANK = 64; // as in PyTorch

/** Classes of storages by what they hold; an untyped one holds bytes. */
const STORAGES: ReadonlyMap<string, StoredDType> = new Map([
  ["torch.DoubleStorage", "F64"],
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
  ["torch.storage.UntypedStorage", "U8"],
]);

const DTYPES: ReadonlyMap<string, StoredDType> = new Map([
  ["torch.float64", "F64"],
  ["torch.float32", "F32"],
  ["torch.float16", "F16"],
  ["torch.bfloat16", "BF16"],
  ["torch.int64", "I64"],
  ["torch.int32", "I32"],
  ["torch.int16", "I16"],
  ["torch.int8", "I8"],
  ["torch.uint32", "U32"],
  ["torch.uint16", "U16"],
  ["torch.uint8", "U8"],
  ["torch.bool", "BOOL"],
]);

/** A piece of memory that tensors share. */
export class TorchStorage {
  /** Which piece of the file holds it. */
  readonly key: string;
  readonly dtype: StoredDType;
  /** Elements in that piece of the file. */
  readonly fileElements: number;
  /** The elements that belong to this storage: a view takes only some of them. */
  readonly offset: number;
  readonly elements: number;

  constructor(key: string, dtype: StoredDType, fileElements: number, view?: { readonly offset: number; readonly elements: number }) {
    this.key = key;
    this.dtype = dtype;
    this.fileElements = fileElements;
    this.offset = view?.offset ?? 0;
    this.elements = view?.elements ?? fileElements;
  }

  /**
   * The storage that a persistent id names: ("storage", class, key, device, number of elements), and in legacy files a
   * view (key, offset, number of elements), or None, after that.
   */
  static fromPersistentId(id: PickleValue, refuse: Refuse): TorchStorage {
    if (!isSequence(id) || id[0] !== "storage") return refuse('a persistent id must be a tuple that begins with "storage"', describeValue(id));
    const [, type, key, , elements, view] = id;
    const name = type instanceof PickleGlobal ? type.name : "";
    const dtype = STORAGES.get(name);
    if (dtype === undefined) return refuse(`a storage must be one of ${[...STORAGES.keys()].join(", ")}`, describeValue(type));
    if (typeof key !== "string") return refuse("the key of a storage must be a string", describeValue(key));
    if (!isWholeNumber(elements)) return refuse("the size of a storage must be a whole number", describeValue(elements));
    if (view === undefined || view === null) return new TorchStorage(key, dtype, elements);
    if (!isSequence(view)) return refuse("the view of a storage must be a tuple (key, offset, size)", describeValue(view));
    const [, offset, size] = view;
    if (!isWholeNumber(offset) || !isWholeNumber(size) || offset + size > elements) {
      return refuse(`the view of a storage must lie within its ${elements} elements`, `offset ${describeValue(offset)}, size ${describeValue(size)}`);
    }
    return new TorchStorage(key, dtype, elements, { offset, elements: size });
  }

  toString(): string {
    return `a PyTorch storage of ${this.elements} ${this.dtype}`;
  }
}

/** A tensor: a shape laid over a storage. Its values can be read where its file is open. */
export class TorchTensor implements StoredTensor {
  readonly key: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** In elements of `dtype`, for each axis. */
  readonly strides: readonly number[];
  /** Of the first element, in elements of `dtype` from the start of the storage's piece of the file. */
  readonly offset: number;

  /** @throws through `refuse` unless every element lies in the storage. */
  constructor(storage: TorchStorage, dtype: StoredDType, offset: number, shape: readonly number[], strides: readonly number[], refuse: Refuse) {
    const elements = Math.floor((storage.elements * STORED_BYTES[storage.dtype]) / STORED_BYTES[dtype]);
    const reach = shape.reduce((last, size, axis) => last + (size - 1) * strides[axis], offset);
    const fits = shape.includes(0) ? offset <= elements : reach < elements;
    if (!fits) {
      const layout = `shape [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}`;
      refuse(`a tensor must lie within its storage of ${elements} ${dtype}`, layout);
    }
    this.key = storage.key;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset + (storage.offset * STORED_BYTES[storage.dtype]) / STORED_BYTES[dtype];
    if (!isWholeNumber(this.offset)) refuse(`a view of a storage must begin at a whole ${dtype}`, `byte ${storage.offset}`);
  }

  toString(): string {
    return `a tensor of ${this.dtype} [${this.shape.join(", ")}]`;
  }
}

/** A shape from a pickle, copied: a list that is checked could still grow by a later opcode. */
export function requireShape(value: PickleValue | undefined, refuse: Refuse): readonly number[] {
  const isShape = isSequence(value) && value.length <= MAX_RANK && value.every(isWholeNumber);
  const elements = isShape ? (value as readonly number[]).reduce((product, size) => product * Math.max(1, size), 1) : Number.NaN;
  if (!isWholeNumber(elements * 8)) return refuse(`a shape must be at most ${MAX_RANK} whole numbers with a product below 2^50`, shapeText(value));
  return Object.freeze([...(value as readonly number[])]);
}

function shapeText(value: PickleValue | undefined): string {
  return isSequence(value) && value.length <= MAX_RANK ? `[${value.map(describeValue).join(", ")}]` : describeValue(value);
}

/** `torch._utils._rebuild_tensor(storage, offset, shape, strides, …)`; a `dtype` other than the storage's comes with untyped storages. */
export function rebuildTensor(args: readonly PickleValue[], dtype: PickleValue | undefined, refuse: Refuse): TorchTensor {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof TorchStorage)) return refuse("a tensor needs a storage", describeValue(storage));
  const shape = requireShape(size, refuse);
  if (!isWholeNumber(offset)) return refuse("the offset of a tensor must be a whole number", describeValue(offset));
  if (!isSequence(stride) || stride.length !== shape.length || !stride.every(isWholeNumber)) {
    return refuse(`the strides of a tensor must be ${shape.length} whole numbers`, shapeText(stride));
  }
  const name = dtype instanceof PickleGlobal ? dtype.name : undefined;
  const type = dtype === undefined ? storage.dtype : DTYPES.get(name ?? "");
  if (type === undefined) return refuse(`the dtype of a tensor must be one of ${[...DTYPES.keys()].join(", ")}`, describeValue(dtype));
  return new TorchTensor(storage, type, offset, shape, [...stride], refuse);
}
