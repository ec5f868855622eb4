/**
 * Safetensors files: an eight-byte little-endian length N, N bytes of JSON that name every tensor, then the raw data.
 *
 * Everything here works in Node and in browsers. A file is read from memory ({@link readSafetensors}) or, one tensor at a
 * time, from any source of byte ranges ({@link openSafetensorsSource}): a file on disk, a Blob, HTTP Range.
 * Source: https://huggingface.co/docs/safetensors, with the checks of its Rust implementation.
 */

import { dtypeOf } from "../core/dtype.ts";
import { CheckpointError, printable, shown } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import type { ByteSource, CheckpointReader } from "./reader.ts";
import { decodeTensor, STORED_BYTES, storedBytes, type StoredDType, type StoredTensor } from "./stored.ts";

const LENGTH_BYTES = 8;
export const MAX_HEADER_BYTES = 100_000_000; // the format's limit: a damaged length must not make a reader allocate gigabytes
const HEADER_ALIGNMENT = 8; // tensor data then starts where any typed array may view it
const METADATA_KEY = "__metadata__";
const MAX_SHOWN = 100; // characters of a wrong value in an error message
const DAMAGED = "the file is damaged or is not safetensors; download it or write it again";

/** Where a tensor lies in a file: bytes [begin, end), counted from the start of the file. */
export interface TensorEntry {
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** What the header says. `tensors` is in the order of the data. */
export interface SafetensorsHeader {
  readonly tensors: Map<string, TensorEntry>;
  readonly metadata: Record<string, string>;
}

/** A whole file in memory. */
export interface SafetensorsFile {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Record<string, string>;
}

/** Whether a value parsed from JSON is an object, not a list or null. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value parsed from JSON is 0, 1, 2 … and exact. */
export function isWholeNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The first key that an object of this valid JSON text holds twice; `JSON.parse` silently keeps the last. */
export function findDuplicateKey(json: string): string | undefined {
  const keysOfOpenObjects: Set<string>[] = [];
  const colon = /[ \t\r\n]*:/y;
  for (let at = 0; at < json.length; at++) {
    if (json[at] === "{") keysOfOpenObjects.push(new Set());
    else if (json[at] === "}") keysOfOpenObjects.pop();
    else if (json[at] === '"') {
      const start = at;
      for (at++; json[at] !== '"'; at++) if (json[at] === "\\") at++;
      colon.lastIndex = at + 1;
      if (!colon.test(json)) continue;
      const key = JSON.parse(json.slice(start, at + 1)) as string; // "a" and "\u0061" are the same key
      const keys = keysOfOpenObjects[keysOfOpenObjects.length - 1];
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

/** The header's bytes as an object without duplicate keys. */
function parseJson(json: Uint8Array, file: string): Record<string, unknown> {
  if (json[0] !== 0x7b) {
    const got = json.length === 0 ? "an empty header" : `byte 0x${json[0].toString(16).padStart(2, "0")}`;
    throw new CheckpointError(`${file}: the header must begin with "{"; got ${got}`, DAMAGED);
  }
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(json);
    header = JSON.parse(text);
  } catch (cause) {
    const reason = printable(cause instanceof Error ? cause.message : String(cause));
    throw new CheckpointError(`${file}: the header must be JSON in UTF-8; got: ${reason}`, DAMAGED, { cause });
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) {
    throw new CheckpointError(`${file}: every key of the header must be unique; got ${shown(duplicate)} twice`, DAMAGED);
  }
  return header as Record<string, unknown>; // text that begins with "{" and is JSON is an object
}

function parseMetadata(value: unknown, file: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isJsonObject(value)) {
    throw new CheckpointError(`${file}: ${METADATA_KEY} must map strings to strings; got ${shown(value)}`, DAMAGED);
  }
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry === "string") continue;
    const got = `${shown(entry)} for ${shown(key)}`;
    throw new CheckpointError(`${file}: ${METADATA_KEY} must map strings to strings; got ${got}`, DAMAGED);
  }
  return value as Record<string, string>;
}

/** One tensor's entry, its own numbers checked; offsets become absolute. */
function parseEntry(name: string, value: unknown, dataStart: number, file: string): TensorEntry {
  const refuse = (expected: string, got: unknown, hint = DAMAGED): never => {
    const text = typeof got === "string" ? printable(got.slice(0, MAX_SHOWN)) : shown(got);
    throw new CheckpointError(`${file}: tensor ${shown(name)}: ${expected}; got ${text}`, hint);
  };
  if (!isJsonObject(value)) return refuse("must be an object of dtype, shape and data_offsets", value);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== "string") return refuse("dtype must be a string", dtype ?? "none");
  if (!Object.hasOwn(STORED_BYTES, dtype)) {
    return refuse(`dtype must be one of ${Object.keys(STORED_BYTES).join(", ")}`, dtype, "convert the tensor to F32 or F16 and save again");
  }
  if (!Array.isArray(shape) || !shape.every(isWholeNumber)) return refuse("shape must be a list of whole numbers", shape ?? "none");
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isWholeNumber) || offsets[0] > offsets[1]) {
    return refuse("data_offsets must be two whole numbers [begin, end] with begin <= end", offsets ?? "none");
  }
  let bytes: number = STORED_BYTES[dtype as StoredDType];
  for (const size of shape) {
    bytes *= size;
    if (!isWholeNumber(bytes)) return refuse("the size in bytes must stay below 2^53", `shape ${shown(shape)}`);
  }
  if (offsets[1] - offsets[0] !== bytes) {
    const got = `${offsets[1] - offsets[0]}, data_offsets ${JSON.stringify(offsets)}`;
    return refuse(`${dtype} ${shown(shape)} takes ${bytes} bytes`, got);
  }
  return { dtype: dtype as StoredDType, shape, begin: dataStart + offsets[0], end: dataStart + offsets[1] };
}

/**
 * Length of the JSON header in bytes.
 *
 * @param first The first eight bytes of the file, or more.
 * @param fileBytes Length of the whole file.
 * @param file Name for error messages.
 * @throws CheckpointError if the file is shorter than eight bytes, or the length is above 100 MB or leads out of the file.
 */
export function headerLength(first: Uint8Array, fileBytes: number, file: string): number {
  if (first.length < LENGTH_BYTES || fileBytes < LENGTH_BYTES) {
    throw new CheckpointError(`${file}: must be at least ${LENGTH_BYTES} bytes long; got ${Math.min(first.length, fileBytes)}`, DAMAGED);
  }
  const length = new DataView(first.buffer, first.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointError(`${file}: the header must be at most ${MAX_HEADER_BYTES} bytes long; got ${length}`, DAMAGED);
  }
  if (LENGTH_BYTES + Number(length) > fileBytes) {
    const room = fileBytes - LENGTH_BYTES;
    throw new CheckpointError(`${file}: the header must end inside the file, within ${room} bytes; got a length of ${length}`, DAMAGED);
  }
  return Number(length);
}

/** Whether a file that begins with these bytes is a safetensors file, as far as they can tell. */
export function isSafetensors(head: Uint8Array, fileBytes: number): boolean {
  if (head.length <= LENGTH_BYTES || head[LENGTH_BYTES] !== 0x7b) return false;
  const length = new DataView(head.buffer, head.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  return length <= Math.min(MAX_HEADER_BYTES, fileBytes - LENGTH_BYTES);
}

/**
 * Reads and checks a header: names, dtypes, shapes, and data that fills the rest of the file without holes or overlaps.
 *
 * The entries may stand in any order in the JSON, as in the reference implementation; the result is in data order.
 * @param json The header alone, {@link headerLength} bytes from the ninth byte on.
 * @param fileBytes Length of the whole file.
 * @param file Name for error messages.
 * @throws CheckpointError if a rule of the format is broken or a dtype cannot be loaded.
 */
export function parseHeader(json: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const dataStart = LENGTH_BYTES + json.length;
  const { [METADATA_KEY]: metadata, ...named } = parseJson(json, file);
  const entries = Object.entries(named).map(([name, value]) => [name, parseEntry(name, value, dataStart, file)] as const);
  entries.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let expected = dataStart;
  for (const [name, { begin, end }] of entries) {
    if (begin !== expected) {
      const what = begin > expected ? "a hole" : "an overlap";
      const rule = `must begin at byte ${expected - dataStart} of the data, where the tensor before it ends`;
      throw new CheckpointError(`${file}: tensor ${shown(name)}: ${rule}; got ${begin - dataStart}, ${what}`, DAMAGED);
    }
    expected = end;
  }
  if (expected > fileBytes) {
    const hint = "the file is cut short; download it or write it again";
    throw new CheckpointError(`${file}: the header describes a file of ${expected} bytes; got ${fileBytes}`, hint);
  }
  if (expected < fileBytes) {
    const surplus = `${fileBytes}, ${fileBytes - expected} more than the tensors fill`;
    throw new CheckpointError(`${file}: the header describes a file of ${expected} bytes; got ${surplus}`, DAMAGED);
  }
  return { tensors: new Map(entries), metadata: parseMetadata(metadata, file) };
}

/**
 * Reads a whole file that is in memory.
 *
 * Tensors that need no conversion and are aligned are views of `bytes`, not copies.
 * @param name File name for error messages.
 * @throws CheckpointError if a rule of the format is broken or a tensor cannot be held on the host.
 */
export function readSafetensors(bytes: Uint8Array, name: string): SafetensorsFile {
  const length = headerLength(bytes, bytes.length, name);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length), bytes.length, name);
  const tensors = new Map<string, HostTensor>();
  for (const [key, entry] of header.tensors) {
    tensors.set(key, decodeTensor(bytes.subarray(entry.begin, entry.end), entry, `${name}: tensor ${shown(key)}`));
  }
  return { tensors, metadata: header.metadata };
}

/**
 * Opens a file of which only the header is read at once, and each tensor when it is asked for.
 *
 * @param name File name for error messages.
 * @throws CheckpointError if a rule of the format is broken.
 */
export async function openSafetensorsSource(source: ByteSource, name: string): Promise<CheckpointReader> {
  const length = headerLength(await source.read(0, Math.min(LENGTH_BYTES, source.size)), source.size, name);
  const { tensors, metadata } = parseHeader(await source.read(LENGTH_BYTES, LENGTH_BYTES + length), source.size, name);
  const entryOf = (key: string): TensorEntry => {
    const entry = tensors.get(key);
    if (entry !== undefined) return entry;
    const hint = `the file's ${tensors.size} tensors are listed by the reader's tensors`;
    throw new CheckpointError(`${name}: must hold the tensor ${shown(key)}; got none of that name`, hint);
  };
  return {
    file: name,
    format: "safetensors",
    tensors,
    metadata,
    async read(key) {
      const entry = entryOf(key);
      return decodeTensor(await source.read(entry.begin, entry.end), entry, `${name}: tensor ${shown(key)}`);
    },
    async readPart(key, begin, end) {
      const { dtype, begin: start } = entryOf(key);
      const bytes = STORED_BYTES[dtype];
      const part = await source.read(start + begin * bytes, start + end * bytes);
      return decodeTensor(part, { dtype, shape: [end - begin] }, `${name}: tensor ${shown(key)}`, begin).data;
    },
    close: () => source.close(),
  };
}

/**
 * The first bytes of a safetensors file: its length and its header. The tensors' data follows in the same order, without gaps.
 *
 * @param caller Function or file for error messages.
 * @throws CheckpointError if a name is taken twice or reserved, a shape has other than whole sizes, or the header is above 100 MB.
 */
export function safetensorsHeader(tensors: Iterable<readonly [string, StoredTensor]>, metadata: Readonly<Record<string, string>>, caller: string): Uint8Array {
  const fields = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) fields.set(METADATA_KEY, parseMetadata(metadata, caller));
  let begin = 0;
  for (const [name, { dtype, shape }] of tensors) {
    const label = `${caller}: tensor ${shown(name)}`;
    if (name === METADATA_KEY) throw new CheckpointError(`${label}: this name is reserved by the format`, "rename the tensor");
    if (fields.has(name)) throw new CheckpointError(`${label}: every name must be unique; got it twice`, "rename one of the tensors");
    if (shape.some((size) => !isWholeNumber(size))) throw new CheckpointError(`${label}: shape must have whole sizes; got [${shape.join(", ")}]`, "pass the tensor's own shape");
    const end = begin + storedBytes({ dtype, shape });
    fields.set(name, { dtype, shape, data_offsets: [begin, end] });
    begin = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(fields)));
  const length = Math.ceil(json.length / HEADER_ALIGNMENT) * HEADER_ALIGNMENT;
  if (length > MAX_HEADER_BYTES) {
    const rule = `the header must be at most ${MAX_HEADER_BYTES} bytes long`;
    throw new CheckpointError(`${caller}: ${rule}; got ${length}`, "store less metadata");
  }
  const header = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, LENGTH_BYTES);
  return header;
}

/**
 * The bytes of a safetensors file, as chunks to be written one after another: the header, then each tensor.
 *
 * The tensors' chunks are views of their data, so nothing is copied; write them before the data changes.
 * The order of `tensors` is kept. In a browser, `new Blob(chunks)` is the file.
 * @throws CheckpointError if a name is taken twice or reserved, data does not fit its shape or dtype, or the header is above 100 MB.
 */
export function writeSafetensors(
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array[] {
  const stored: (readonly [string, StoredTensor])[] = [];
  const chunks: Uint8Array[] = [];
  for (const [name, { dtype, shape, data }] of tensors) {
    const label = `writeSafetensors: tensor ${shown(name)}`;
    if (dtypeOf(data) !== dtype) {
      throw new CheckpointError(`${label}: data must hold ${dtype}; got ${dtypeOf(data)}`, "pass the dtype of the typed array");
    }
    const length = shape.reduce((product, size) => product * size, 1);
    if (!shape.every(isWholeNumber) || data.length !== length) {
      const rule = `shape [${shape.join(", ")}] must have whole sizes and as many elements as data`;
      throw new CheckpointError(`${label}: ${rule}; got ${data.length} elements`, "pass the tensor's own shape");
    }
    stored.push([name, { dtype: dtype.toUpperCase() as Uppercase<typeof dtype>, shape }]);
    chunks.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return [safetensorsHeader(stored, metadata, "writeSafetensors"), ...chunks];
}
