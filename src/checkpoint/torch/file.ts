/**
 * PyTorch's files (.pt, .pth, .bin): a pickle that describes the tensors, and their values beside it. Nothing is executed.
 *
 * Everything here works in Node and in browsers, on any source of byte ranges; a tensor is read when it is asked for.
 * Source: torch/serialization.py of PyTorch, whose `save` writes both formats.
 */

import type { TypedArray } from "../../core/dtype.ts";
import { CheckpointError, shown } from "../../core/errors.ts";
import type { HostTensor } from "../../core/host-tensor.ts";
import { sizeOf } from "../../core/shape.ts";
import { MAX_DESCRIPTION_BYTES, unpickle } from "./pickle.ts";
import type { PickleDict, PickleValue } from "./pickle-values.ts";
import type { ByteSource, CheckpointReader } from "../reader.ts";
import { decodeTensor, STORED_BYTES } from "../stored.ts";
import { stateDictOf } from "./state-dict.ts";
import { elementWords, isContiguous, stridedRuns } from "./strides.ts";
import { openLegacy } from "./legacy.ts";
import { TorchStorage, type TorchTensor } from "./tensor.ts";
import { contentsOf, readZip, type ZipEntry } from "./zip.ts";

const MAX_SHOWN = 16; // bytes of a wrong byte order in an error message
const ZIP = [0x50, 0x4b, 0x03, 0x04]; // "PK", and the mark of a local header
const PICKLE = 0x80; // the first byte of every pickle since protocol 2
const WINDOW_BYTES = 1 << 22; // read at once where elements lie apart
const MAX_SHARING = 16; // elements of tensors for each byte of the file; above one only where tensors share memory
const FREE_ELEMENTS = 1 << 20; // that tensors may have beyond that

/** A PyTorch file that is open. */
export interface TorchReader extends CheckpointReader {
  readonly format: "PyTorch zip" | "PyTorch legacy";
  readonly tensors: ReadonlyMap<string, TorchTensor>;
  /** What stands beside the state dict at the top level: epoch, arguments, vocabulary … Tensors in it are descriptions without values. */
  readonly values: PickleDict;
}

/** What a file of either format says. */
export interface TorchContents {
  readonly format: TorchReader["format"];
  readonly root: PickleValue;
  /** The first byte of a storage in the file. */
  locate(storage: string): Promise<number>;
}

function isZip(head: Uint8Array): boolean {
  return ZIP.every((byte, i) => head[i] === byte);
}

/** Whether a file that begins with these bytes, four or more, can be one of PyTorch's. */
export function isTorchFile(head: Uint8Array): boolean {
  return isZip(head) || head[0] === PICKLE;
}

async function openZip(source: ByteSource, file: string): Promise<TorchContents> {
  const entries = await readZip(source, file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    const names = [...entries.keys()].slice(0, 3).map(shown).join(", ");
    throw new CheckpointError(`${file}: a PyTorch zip file must hold one FOLDER/data.pkl; got ${pickles.length}, beside ${names || "nothing"}`, "check that the file was written by torch.save");
  }
  const folder = pickles[0].slice(0, -"data.pkl".length);
  const bytesOf = async (entry: ZipEntry): Promise<Uint8Array> => {
    const begin = await contentsOf(source, entry, file);
    return source.read(begin, begin + entry.size);
  };
  const byteOrder = entries.get(`${folder}byteorder`);
  if (byteOrder !== undefined) {
    const order = byteOrder.size <= MAX_SHOWN ? new TextDecoder().decode(await bytesOf(byteOrder)) : `${byteOrder.size} bytes`;
    if (order !== "little") {
      throw new CheckpointError(`${file}: byteorder must be "little"; got ${shown(order)}`, "save the file again on a machine with an x86 or ARM processor");
    }
  }
  const entryOf = (key: string): ZipEntry | undefined => entries.get(`${folder}data/${key}`);
  const description = entries.get(pickles[0]) as ZipEntry;
  if (description.size > MAX_DESCRIPTION_BYTES) throw new CheckpointError(`${file}: ${shown(pickles[0])} must have at most ${MAX_DESCRIPTION_BYTES} bytes; got ${description.size}`, "save tensors rather than large plain data");
  const { value: root } = unpickle(await bytesOf(description), 0, file, (id, refuse) => {
    const storage = TorchStorage.fromPersistentId(id, refuse);
    const size = storage.fileElements * STORED_BYTES[storage.dtype];
    const entry = entryOf(storage.key);
    if (entry?.size === size) return storage;
    return refuse(`storage ${shown(storage.key)} of ${storage.fileElements} ${storage.dtype} must be an entry of ${size} bytes`, entry === undefined ? "none" : `${entry.size} bytes`);
  });
  const begins = new Map<string, number>();
  const locate = async (key: string): Promise<number> => {
    const begin = begins.get(key) ?? (await contentsOf(source, entryOf(key) as ZipEntry, file));
    begins.set(key, begin);
    return begin;
  };
  return { format: "PyTorch zip", root, locate };
}

/** Refuses files of which a few bytes would become very many elements. */
function requireHonestSizes(tensors: ReadonlyMap<string, TorchTensor>, source: ByteSource, file: string): void {
  const limit = MAX_SHARING * source.size + FREE_ELEMENTS;
  let elements = 0;
  for (const { shape } of tensors.values()) elements += sizeOf(shape);
  if (elements <= limit) return;
  const rule = `the tensors of a file of ${source.size} bytes must have at most ${limit} elements together, shared ones counted each time`;
  throw new CheckpointError(`${file}: ${rule}; got ${elements}`, "save tensor.contiguous() instead of tensors that were expanded");
}

/**
 * The stored bytes of the elements [begin, end) of a tensor whose elements lie apart, in row-major order.
 *
 * @param first The tensor's first byte in the file.
 */
async function gather(source: ByteSource, tensor: TorchTensor, first: number, begin: number, end: number): Promise<Uint8Array> {
  const { shape, strides, dtype } = tensor;
  const size = STORED_BYTES[dtype];
  const reach = shape.reduce((last, n, axis) => last + (n - 1) * strides[axis], 1);
  const gathered = new Uint8Array((end - begin) * size);
  const { words: to, perElement } = elementWords(gathered, size);
  let window = elementWords(new Uint8Array(), size).words;
  let windowBegin = 0; // in elements, like what follows
  let windowEnd = 0;
  for (const { position, offset, count, positionStep, offsetStep } of stridedRuns(shape, strides, begin, end)) {
    for (let i = 0; i < count; i++) {
      const element = offset + i * offsetStep;
      if (element < windowBegin || element >= windowEnd) {
        windowBegin = element;
        windowEnd = Math.min(reach, element + WINDOW_BYTES / size);
        window = elementWords(await source.read(first + windowBegin * size, first + windowEnd * size), size).words;
      }
      const at = (position + i * positionStep - begin) * perElement;
      const from = (element - windowBegin) * perElement;
      for (let word = 0; word < perElement; word++) to[at + word] = window[from + word];
    }
  }
  return gathered;
}

/**
 * Opens a file that `torch.save` wrote: a state dict, or a dict that holds one as `model_state_dict`, `state_dict` or `model`.
 *
 * The tensors' names are the state dict's keys; dicts within it are joined with dots. A tensor that is laid out contiguously
 * is read by one range, another one through a window of 4 MiB.
 * @param name File name for error messages.
 * @throws CheckpointError if the file is damaged, would have to run code, or holds no state dict or several.
 */
export async function openTorchSource(source: ByteSource, name: string): Promise<TorchReader> {
  const head = await source.read(0, Math.min(ZIP.length, source.size));
  if (!isTorchFile(head)) {
    throw new CheckpointError(`${name}: a PyTorch file must begin as a zip file or a pickle; got ${head.length === 0 ? "an empty file" : `bytes ${head.join(", ")}`}`, "check that the file was written by torch.save, and download it again");
  }
  const { format, root, locate } = isZip(head) ? await openZip(source, name) : await openLegacy(source, name);
  const { tensors, values } = stateDictOf(root, name);
  requireHonestSizes(tensors, source, name);

  const labelOf = (key: string): string => `${name}: tensor ${shown(key)}`;
  const tensorOf = (key: string): TorchTensor => {
    const tensor = tensors.get(key);
    if (tensor !== undefined) return tensor;
    throw new CheckpointError(`${name}: must hold the tensor ${shown(key)}; got none of that name`, `the file's ${tensors.size} tensors are listed by the reader's tensors`);
  };
  const readElements = async (key: string, begin: number, end: number): Promise<Uint8Array> => {
    const tensor = tensorOf(key);
    const size = STORED_BYTES[tensor.dtype];
    if (begin === end) return new Uint8Array();
    const first = (await locate(tensor.key)) + tensor.offset * size;
    return isContiguous(tensor.shape, tensor.strides) ? source.read(first + begin * size, first + end * size) : gather(source, tensor, first, begin, end);
  };
  return {
    file: name,
    format,
    tensors,
    metadata: {},
    values,
    async read(key): Promise<HostTensor> {
      const tensor = tensorOf(key);
      return decodeTensor(await readElements(key, 0, sizeOf(tensor.shape)), { dtype: tensor.dtype, shape: tensor.shape }, labelOf(key));
    },
    async readPart(key, begin, end): Promise<TypedArray> {
      const { dtype } = tensorOf(key);
      return decodeTensor(await readElements(key, begin, end), { dtype, shape: [end - begin] }, labelOf(key), begin).data;
    },
    close: () => source.close(),
  };
}
