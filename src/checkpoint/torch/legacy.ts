/**
 * The format of PyTorch before 1.6: five pickles in a row (magic number, version, system, the object, keys of its storages),
 * then each storage as the number of its elements (8 bytes) and the elements.
 */

import { CheckpointError, shown } from "../../core/errors.ts";
import { MAX_DESCRIPTION_BYTES, TruncatedPickle, unpickle, type PersistentLoad, type Unpickled } from "./pickle.ts";
import { describeValue, isSequence, PickleGlobal, type PickleValue } from "./pickle-values.ts";
import type { ByteSource } from "../reader.ts";
import { STORED_BYTES } from "../stored.ts";
import { TorchStorage } from "./tensor.ts";
import type { TorchContents } from "./file.ts";

const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;
const COUNT_BYTES = 8;
const FIRST_READ = 1 << 18; // holds the pickles of most files; the rest is fetched as needed
const GROWTH = 4;
const DAMAGED = "the file is damaged, cut short or of another kind; download it or write it again";

/** Reads pickles one after another from a file that does not say how long they are. */
class PickleSequence {
  readonly #source: ByteSource;
  readonly #file: string;
  #bytes: Uint8Array = new Uint8Array();
  /** The first byte after the last pickle. */
  end = 0;

  constructor(source: ByteSource, file: string) {
    this.#source = source;
    this.#file = file;
  }

  async next(persistentLoad?: PersistentLoad): Promise<PickleValue> {
    for (;;) {
      const unpickled = this.#attempt(persistentLoad);
      if (unpickled !== undefined) {
        this.end = unpickled.end;
        return unpickled.value;
      }
      if (this.#bytes.length >= MAX_DESCRIPTION_BYTES) throw new CheckpointError(`${this.#file}: the pickles before the values must end within ${MAX_DESCRIPTION_BYTES} bytes; got more`, DAMAGED);
      const length = Math.min(this.#source.size, MAX_DESCRIPTION_BYTES, Math.max(FIRST_READ, GROWTH * this.#bytes.length));
      this.#bytes = await this.#source.read(0, length);
    }
  }

  /** Nothing if more bytes are needed. */
  #attempt(persistentLoad?: PersistentLoad): Unpickled | undefined {
    try {
      return unpickle(this.#bytes, this.end, this.#file, persistentLoad);
    } catch (error) {
      if (error instanceof TruncatedPickle && this.#bytes.length < this.#source.size) return undefined;
      throw error;
    }
  }
}

/** Opens a file of this format. @throws CheckpointError if it is damaged, big-endian, or would have to run code. */
export async function openLegacy(source: ByteSource, file: string): Promise<TorchContents> {
  const refuse = (rule: string, got: string, hint = DAMAGED): never => {
    throw new CheckpointError(`${file}: ${rule}; got ${got}`, hint);
  };
  const pickles = new PickleSequence(source, file);
  const magic = await pickles.next();
  if (magic !== MAGIC) refuse("a PyTorch file must be a zip file or begin with PyTorch's magic number", describeValue(magic));
  const version = await pickles.next();
  if (version !== VERSION) refuse(`the version of the format must be ${VERSION}`, describeValue(version));
  const system = await pickles.next();
  const littleEndian = system instanceof Map ? (system as ReadonlyMap<PickleValue, PickleValue>).get("little_endian") : undefined;
  if (littleEndian !== true) refuse("little_endian must be True", describeValue(littleEndian), "save the file again on a machine with an x86 or ARM processor");

  const storages = new Map<string, TorchStorage>();
  const root = await pickles.next((id, refuseId) => {
    // A class whose source code was saved too; the code is not read.
    if (isSequence(id) && id[0] === "module" && id[1] instanceof PickleGlobal) return id[1];
    const storage = TorchStorage.fromPersistentId(id, refuseId);
    const { dtype, fileElements } = storages.get(storage.key) ?? storage;
    if (dtype !== storage.dtype || fileElements !== storage.fileElements) {
      return refuseId(`storage ${shown(storage.key)} must be ${fileElements} ${dtype} wherever it is used`, describeValue(storage));
    }
    storages.set(storage.key, storage);
    return storage;
  });
  const keys = await pickles.next();
  if (!isSequence(keys)) return refuse("the keys of the storages must be a list", describeValue(keys));

  const begins = new Map<string, number>();
  let at = pickles.end;
  for (const key of keys) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (storage === undefined || begins.has(storage.key)) return refuse("each storage must be listed once", describeValue(key));
    const begin = at + COUNT_BYTES;
    const end = begin + storage.fileElements * STORED_BYTES[storage.dtype];
    if (end > source.size) return refuse(`storage ${shown(storage.key)} must end within the file's ${source.size} bytes`, `byte ${end}`);
    const counted = await source.read(at, begin);
    const count = new DataView(counted.buffer, counted.byteOffset, COUNT_BYTES).getBigInt64(0, true);
    if (count !== BigInt(storage.fileElements)) return refuse(`storage ${shown(storage.key)} must have ${storage.fileElements} elements`, String(count));
    begins.set(storage.key, begin);
    at = end;
  }
  const unlisted = [...storages.keys()].find((key) => !begins.has(key));
  if (unlisted !== undefined) return refuse("every storage must be listed", `not ${shown(unlisted)}`);
  if (at !== source.size) return refuse(`the file must end with its last storage, after ${at} bytes`, String(source.size));
  return { format: "PyTorch legacy", root, locate: async (key) => begins.get(key) as number };
}
