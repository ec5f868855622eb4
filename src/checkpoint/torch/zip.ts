/**
 * The entries of a zip file whose contents are stored as they are, as PyTorch writes them, read by ranges.
 *
 * Source: PKWARE's APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
 */

import { CheckpointError, shown } from "../../core/errors.ts";
import type { ByteSource } from "../reader.ts";

const LOCAL_HEADER = { signature: 0x04034b50, bytes: 30 };
const CENTRAL_HEADER = { signature: 0x02014b50, bytes: 46 };
const END = { signature: 0x06054b50, bytes: 22 };
const END64 = { signature: 0x06064b50, bytes: 56 };
const LOCATOR64 = { signature: 0x07064b50, bytes: 20 };
const MAX_COMMENT = 65_535; // that may follow the end record
const ZIP64_EXTRA = 1;
const IN_ZIP64_EXTRA = 0xffffffff; // a size or offset that stands in the ZIP64 extra field
const ENCRYPTED = 1; // bit of the flags
const STORED = 0; // the compression method that is none
const DAMAGED = "the file is damaged or cut short; download it or write it again";
const REPACKED = "the file was packed again by another program; use the original, or zip -0 it";

/** A file in a zip file. */
export interface ZipEntry {
  readonly name: string;
  /** Bytes of its contents. */
  readonly size: number;
  /** Where its local header begins, in bytes from the start of the zip file. */
  readonly header: number;
  /** The first byte after it that belongs to something else. */
  readonly limit: number;
}

/** Where the list of the entries lies. */
interface Directory {
  readonly entries: number;
  readonly begin: number;
  readonly end: number;
}

function refuse(file: string, rule: string, got: unknown, hint = DAMAGED): never {
  throw new CheckpointError(`${file}: ${rule}; got ${String(got)}`, hint);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Inexact above 2^53, where no file reaches. */
function uint64(view: DataView, at: number): number {
  return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
}

/** The end record lies before a comment of unknown length, which says that it ends with the file. */
function findEnd(tail: Uint8Array): number | undefined {
  const view = viewOf(tail);
  for (let at = tail.length - END.bytes; at >= 0; at--) {
    if (view.getUint32(at, true) === END.signature && at + END.bytes + view.getUint16(at + 20, true) === tail.length) return at;
  }
  return undefined;
}

async function findDirectory(source: ByteSource, file: string): Promise<Directory> {
  const tailBegin = Math.max(0, source.size - END.bytes - MAX_COMMENT - LOCATOR64.bytes);
  const tail = await source.read(tailBegin, source.size);
  const at = findEnd(tail);
  if (at === undefined) return refuse(file, "a zip file must end with a list of its entries", "none", DAMAGED);
  const view = viewOf(tail);
  const end = tailBegin + at;
  const locator = at - LOCATOR64.bytes;
  const has64 = locator >= 0 && view.getUint32(locator, true) === LOCATOR64.signature;
  let directory: Directory;
  if (has64) {
    directory = await readEnd64(source, uint64(view, locator + 8), end - LOCATOR64.bytes, file);
  } else {
    const [disk, firstDisk] = [view.getUint16(at + 4, true), view.getUint16(at + 6, true)];
    if (disk !== 0 || firstDisk !== 0) refuse(file, "a zip file must be in one piece", `disk ${Math.max(disk, firstDisk)}`);
    const begin = view.getUint32(at + 16, true);
    directory = { entries: view.getUint16(at + 10, true), begin, end: begin + view.getUint32(at + 12, true) };
  }
  const { entries, begin, end: directoryEnd } = directory;
  if (directoryEnd > end || entries * CENTRAL_HEADER.bytes > directoryEnd - begin) {
    refuse(file, `the list of ${entries} entries must lie before byte ${end} and take ${CENTRAL_HEADER.bytes} bytes for each`, `bytes ${begin} to ${directoryEnd}`);
  }
  return directory;
}

async function readEnd64(source: ByteSource, at: number, limit: number, file: string): Promise<Directory> {
  if (at + END64.bytes > limit) return refuse(file, `the ZIP64 end record must lie before byte ${limit}`, at);
  const view = viewOf(await source.read(at, at + END64.bytes));
  if (view.getUint32(0, true) !== END64.signature) return refuse(file, `there must be a ZIP64 end record at byte ${at}`, "none");
  const begin = uint64(view, 48);
  return { entries: uint64(view, 32), begin, end: begin + uint64(view, 40) };
}

/** The values of 64 bits in an entry's ZIP64 extra field, as far as there are some. */
function zip64Values(extra: Uint8Array): number[] {
  const view = viewOf(extra);
  for (let at = 0; at + 4 <= extra.length; ) {
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > extra.length) return [];
    if (view.getUint16(at, true) === ZIP64_EXTRA) {
      return Array.from({ length: Math.floor((end - at - 4) / 8) }, (_, i) => uint64(view, at + 4 + 8 * i));
    }
    at = end;
  }
  return [];
}

function readName(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse(file, "the names of entries must be UTF-8", `${bytes.length} other bytes`);
  }
}

/** The entries in the order of the list, without their limits. */
function parseDirectory(bytes: Uint8Array, count: number, file: string): Omit<ZipEntry, "limit">[] {
  const view = viewOf(bytes);
  const entries: Omit<ZipEntry, "limit">[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + CENTRAL_HEADER.bytes > bytes.length || view.getUint32(at, true) !== CENTRAL_HEADER.signature) {
      return refuse(file, `the list must hold ${count} entries`, `${i} and something else`);
    }
    const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
    const nameEnd = at + CENTRAL_HEADER.bytes + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const end = extraEnd + view.getUint16(at + 32, true);
    if (end > bytes.length) return refuse(file, `the list of entries must end at its byte ${bytes.length}`, `an entry to byte ${end}`);
    const name = readName(bytes.subarray(at + CENTRAL_HEADER.bytes, nameEnd), file);
    const values = zip64Values(bytes.subarray(nameEnd, extraEnd));
    const wide = (offset: number): number => {
      const value = view.getUint32(offset, true);
      return value === IN_ZIP64_EXTRA ? (values.shift() ?? value) : value;
    };
    const [size, packed, header] = [wide(at + 24), wide(at + 20), wide(at + 42)];
    if ((flags & ENCRYPTED) !== 0) refuse(file, `entry ${shown(name)} must not be encrypted`, `flags ${flags}`, REPACKED);
    if (method !== STORED) refuse(file, `entry ${shown(name)} must be stored, not compressed`, `method ${method}`, REPACKED);
    if (packed !== size) refuse(file, `entry ${shown(name)} of ${size} bytes must take as many in the file`, packed);
    entries.push({ name, size, header });
    at = end;
  }
  return entries;
}

/**
 * Reads the list of the entries: names and sizes, by name, checked not to overlap.
 *
 * @param file Name for error messages.
 * @throws CheckpointError if the file is damaged, or an entry is compressed or encrypted.
 */
export async function readZip(source: ByteSource, file: string): Promise<ReadonlyMap<string, ZipEntry>> {
  const directory = await findDirectory(source, file);
  const parsed = parseDirectory(await source.read(directory.begin, directory.end), directory.entries, file);
  const byPlace = parsed.toSorted((a, b) => a.header - b.header);
  const entries = new Map<string, ZipEntry>();
  for (const [i, { name, size, header }] of byPlace.entries()) {
    const limit = byPlace[i + 1]?.header ?? directory.begin;
    // The name stands in the local header again; how much else does, only that header says.
    const end = header + LOCAL_HEADER.bytes + new TextEncoder().encode(name).length + size;
    if (end > limit) refuse(file, `entry ${shown(name)} must end before byte ${limit}, where something else begins`, `byte ${end}`);
    if (entries.has(name)) refuse(file, `entry ${shown(name)} must be there once`, "it twice");
    entries.set(name, { name, size, header, limit });
  }
  return entries;
}

/**
 * Where the contents of an entry begin, in bytes from the start of the zip file.
 *
 * @throws CheckpointError if its local header is damaged.
 */
export async function contentsOf(source: ByteSource, entry: ZipEntry, file: string): Promise<number> {
  const { name, size, header, limit } = entry;
  const bytes = await source.read(header, header + LOCAL_HEADER.bytes);
  const view = viewOf(bytes);
  if (view.getUint32(0, true) !== LOCAL_HEADER.signature) return refuse(file, `entry ${shown(name)} must have a header at byte ${header}`, "none");
  const begin = header + LOCAL_HEADER.bytes + view.getUint16(26, true) + view.getUint16(28, true);
  if (begin + size > limit) return refuse(file, `entry ${shown(name)} must end before byte ${limit}`, `byte ${begin + size}`);
  return begin;
}
