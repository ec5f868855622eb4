/** Ways to damage a file: blind ones for any bytes, and ones that know a format and so get past its first checks. */

import { deflateSync, inflateSync } from "node:zlib";
import type { Generator } from "../../src/core/rng.ts";
import { bytesOfText, concatenate, uint } from "../byte-maker.ts";
import { dict, op, tuple, zip } from "../pickle-maker.ts";

/** Makes another file; `donor` is a sound one of the same kind, from which pieces may come. The input stays as it is. */
export type Mutation = (bytes: Uint8Array, random: Generator, donor: Uint8Array) => Uint8Array;

const EXTREME_BYTES = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
const DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U32", "U16", "U8", "BOOL", "U64", "F8_E4M3", "", "f32"];
const BOMB_BYTES = 20_000_000; // of zeros, which deflate packs into 20 KB
const PNG_SIGNATURE_BYTES = 8;

/** Bytes [begin, end) replaced. */
function spliced(bytes: Uint8Array, begin: number, end: number, insertion: ArrayLike<number>): Uint8Array {
  return concatenate(bytes.subarray(0, begin), insertion, bytes.subarray(end));
}

function randomRange(length: number, random: Generator, longest = length): readonly [begin: number, end: number] {
  const begin = random.integer(length + 1);
  return [begin, Math.min(length, begin + random.integer(longest + 1))];
}

/** Numbers at which readers stumble: around 0, the powers of two, and the file's own length. */
function extremeNumber(length: number, random: Generator): number {
  const near = random.pick([0, 2 ** 7, 2 ** 8, 2 ** 15, 2 ** 16, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 40, 2 ** 53, 2 ** 63, length, length - 8]);
  return Math.max(0, near + random.pick([-2, -1, 0, 0, 1, 2]));
}

/** Mutations for any kind of file. */
export const BLIND: readonly Mutation[] = [
  (bytes, random) => {
    const copy = bytes.slice();
    for (let i = random.integer(8); i >= 0; i--) copy[random.integer(copy.length)] ^= 1 << random.integer(8);
    return copy;
  },
  (bytes, random) => {
    const copy = bytes.slice();
    for (let i = random.integer(4); i >= 0; i--) copy[random.integer(copy.length)] = random.pick(EXTREME_BYTES);
    return copy;
  },
  (bytes, random) => bytes.slice(0, random.integer(bytes.length + 1)),
  (bytes, random) => {
    const integer = uint(extremeNumber(bytes.length, random), random.pick([1, 2, 4, 8]));
    if (random.integer(2) === 0) integer.reverse();
    const begin = random.integer(bytes.length);
    return spliced(bytes, begin, Math.min(bytes.length, begin + integer.length), integer);
  },
  (bytes, random) => spliced(bytes, ...randomRange(bytes.length, random, 64), []),
  (bytes, random) => {
    const [begin, end] = randomRange(bytes.length, random);
    return spliced(bytes, begin, begin, bytes.subarray(begin, end));
  },
  (bytes, random, donor) => spliced(bytes, ...randomRange(bytes.length, random), donor.subarray(...randomRange(donor.length, random))),
  (bytes, random) => {
    const at = random.integer(bytes.length + 1);
    return spliced(bytes, at, at, Array.from({ length: 1 + random.integer(16) }, () => random.integer(256)));
  },
];

/** Deletes, repeats, swaps, replaces or changes one of the pieces that a file consists of. */
function mutatePieces(pieces: readonly Uint8Array[], random: Generator, donors: readonly Uint8Array[]): Uint8Array[] {
  const copy = [...pieces];
  if (copy.length === 0) return copy;
  const [i, j] = [random.integer(copy.length), random.integer(copy.length)];
  switch (random.integer(6)) {
    case 0:
      copy.splice(i, 1);
      break;
    case 1:
      copy.splice(j, 0, copy[i]);
      break;
    case 2:
      [copy[i], copy[j]] = [copy[j], copy[i]];
      break;
    case 3:
      if (donors.length > 0) copy[i] = random.pick(donors);
      break;
    case 4:
      for (let n = random.integer(100); n > 0; n--) copy.splice(i, 0, pieces[i]);
      break;
    default:
      if (copy[i].length > 0) copy[i] = random.pick(BLIND)(copy[i], random, copy[j]);
  }
  return copy;
}

// Safetensors: edits of the JSON, with a length that fits again.

type Json = Record<string, unknown>;

function parseSafetensors(bytes: Uint8Array): { readonly header: Json; readonly data: Uint8Array } {
  const end = 8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, end))) as Json, data: bytes.subarray(end) };
}

const editHeader: Mutation = (bytes, random, donor) => {
  const { header, data } = parseSafetensors(bytes);
  const names = Object.keys(header);
  const name = random.pick(names);
  const entry = header[name] as Json;
  const number = (): unknown => random.pick<unknown>([extremeNumber(bytes.length, random), -1, 0.5, "1", null, true, [], 1e308]);
  let text: string | undefined;
  switch (random.integer(9)) {
    case 0:
      entry.dtype = random.pick<unknown>([...DTYPES, 1, null]);
      break;
    case 1:
      entry.shape = Array.from({ length: random.integer(5) }, number);
      break;
    case 2:
      entry.shape = Array.from({ length: random.integer(2000) }, () => random.pick([0, 1, 2 ** 31]));
      break;
    case 3:
      entry.data_offsets = Array.from({ length: random.integer(4) }, number);
      break;
    case 4:
      delete header[name];
      break;
    case 5:
      header[random.pick(["__metadata__", "__proto__", "", name])] = random.pick<unknown>([{ a: 1 }, { a: "b" }, entry, 3, null]);
      break;
    case 6:
      Object.assign(header, parseSafetensors(donor).header);
      break;
    case 7:
      text = `${JSON.stringify(header).slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(entry)}}`; // a key twice
      break;
    default: {
      const depth = 1 + random.integer(20_000); // more than JSON.stringify can show in a message
      const nested = "[".repeat(depth) + "]".repeat(random.integer(4) === 0 ? 0 : depth);
      text = JSON.stringify({ ...header, [name]: { ...entry, [random.pick(["dtype", "shape", "data_offsets"])]: "?" } }).replace('"?"', nested);
    }
  }
  const json = bytesOfText(text ?? JSON.stringify(header));
  return concatenate(uint(json.length, 8), json, data);
};

// Pickles: whole opcodes with what follows them.

/** Bytes after an opcode: a fixed number, or the width of a length that stands before them, or a number of lines. */
const ARGUMENTS: Readonly<Record<number, { readonly fixed?: number; readonly prefix?: number; readonly lines?: number }>> = {
  0x80: { fixed: 1 }, 0x95: { fixed: 8 }, 0x4a: { fixed: 4 }, 0x4b: { fixed: 1 }, 0x4d: { fixed: 2 }, 0x47: { fixed: 8 },
  0x71: { fixed: 1 }, 0x72: { fixed: 4 }, 0x68: { fixed: 1 }, 0x6a: { fixed: 4 },
  0x8a: { prefix: 1 }, 0x55: { prefix: 1 }, 0x8c: { prefix: 1 }, 0x43: { prefix: 1 }, 0x58: { prefix: 4 }, 0x42: { prefix: 4 },
  0x8d: { prefix: 8 }, 0x8e: { prefix: 8 }, 0x96: { prefix: 8 }, 0x63: { lines: 2 },
}; // prettier-ignore

/** A pickle's opcodes, each with its argument; what follows the pickle is the last piece. */
export function opcodesOf(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const pieces: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const { fixed = 0, prefix = 0, lines = 0 } = ARGUMENTS[bytes[at]] ?? {};
    let end = at + 1 + fixed + prefix;
    if (prefix === 1) end += bytes[at + 1];
    else if (prefix >= 4) end += view.getUint32(at + 1, true);
    for (let line = 0; line < lines; line++) end = bytes.indexOf(0x0a, end) + 1;
    pieces.push(bytes.subarray(at, end));
    if (bytes[at] === 0x2e && bytes[end] !== 0x80) return [...pieces, bytes.subarray(end)]; // legacy files hold several pickles
    at = end;
  }
  return pieces;
}

/** Opcodes that fit almost anywhere, and calls of which none may be made. */
const SNIPPETS: readonly (readonly number[])[] = [
  op.none, op.mark, op.emptyTuple, op.emptyList, op.emptyDict, op.emptySet, op.tuple, op.tuple1, op.tuple2, op.append, op.appends, op.setItem, op.setItems, op.addItems,
  op.reduce, op.newObject, op.build, op.persistentId, op.stop, [0x93], [0x94], [0x30], [0x32], [0x82, 1], [0x92],
  op.int(-1), op.int(2 ** 31 - 1), op.long(0, 0, 0, 0, 0, 0, 0, 0, 1), op.get(0), op.get(3), op.put(1), op.text("\n"), op.text("__proto__"), op.bytes([1, 2, 3]),
  [...op.global("os", "system"), ...tuple(op.text("true")), ...op.reduce],
  [...op.global("numpy", "dtype"), ...tuple(op.text("f8"), op.false, op.true), ...op.reduce],
  [...op.global("torch", "Size"), ...tuple(tuple(op.int(2), op.int(3))), ...op.reduce],
  [...op.global("collections", "OrderedDict"), ...op.emptyTuple, ...op.reduce],
  [...op.global("_codecs", "encode"), ...tuple(op.text("\u00ff"), op.text("latin1")), ...op.reduce],
  dict({ model: op.emptyDict, epoch: op.int(1) }),
]; // prettier-ignore

const editOpcodes: Mutation = (bytes, random, donor) => {
  let pieces = opcodesOf(bytes);
  const donors = opcodesOf(donor);
  for (let i = random.integer(3); i >= 0; i--) {
    if (random.integer(3) === 0) pieces.splice(random.integer(pieces.length + 1), 0, Uint8Array.from(random.pick(SNIPPETS)));
    else pieces = mutatePieces(pieces, random, donors);
  }
  return concatenate(...pieces);
};

/** A tower of tuples or of doubled values in place of a value. */
const nest: Mutation = (bytes, random) => {
  const pieces = opcodesOf(bytes);
  const depth = 1 + random.integer(3000);
  const tower = random.pick<(i: number) => readonly number[]>([() => op.tuple1, (i) => [...op.put(i), ...op.get(i), ...op.tuple2], (i) => [...op.emptyList, ...op.put(i), ...op.get(i), ...op.append]]);
  pieces.splice(random.integer(pieces.length), 0, Uint8Array.from([...op.none, ...Array.from({ length: depth }, (_, i) => tower(1000 + i)).flat()]));
  return concatenate(...pieces);
};

// Zip files: the directory stands at the end, so blind mutations there hit numbers that matter.

const editDirectory: Mutation = (bytes, random, donor) => {
  const begin = Math.max(0, bytes.length - 22 - random.integer(bytes.length));
  return concatenate(bytes.subarray(0, begin), random.pick(BLIND)(bytes.slice(begin), random, donor));
};

/** The files in a zip file of stored entries. */
function entriesOf(bytes: Uint8Array): (readonly [name: string, contents: Uint8Array])[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries: (readonly [string, Uint8Array])[] = [];
  for (let at = view.getUint32(bytes.length - 6, true); view.getUint32(at, true) === 0x02014b50; ) {
    const [size, nameLength, header] = [view.getUint32(at + 24, true), view.getUint16(at + 28, true), view.getUint32(at + 42, true)];
    const begin = header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    entries.push([new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength)), bytes.subarray(begin, begin + size)]);
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return entries;
}

/** Changes what one entry holds, mostly the pickle, in a zip file that is sound. */
const editEntry: Mutation = (bytes, random, donor) => {
  const entries = entriesOf(bytes);
  const pickled = entries.findIndex(([name]) => name.endsWith("/data.pkl"));
  const i = random.integer(4) > 0 ? pickled : random.integer(entries.length);
  const [name, contents] = entries[i];
  const donated = entriesOf(donor).find(([other]) => other.endsWith("/data.pkl"))![1];
  const mutation = i === pickled ? random.pick([editOpcodes, nest, ...BLIND]) : random.pick(BLIND);
  entries[i] = [name, contents.length === 0 ? donated : mutation(contents, random, donated)];
  return zip(entries, { zip64: random.integer(4) === 0 });
};

// JPEG: segments from marker to marker.

function segmentsOf(bytes: Uint8Array): Uint8Array[] {
  const starts = [0];
  for (let at = 2; at + 1 < bytes.length; at++) if (bytes[at] === 0xff && bytes[at + 1] >= 0xc0 && (bytes[at + 1] & 0xf8) !== 0xd0) starts.push(at);
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1] ?? bytes.length));
}

/** The segment with another byte or 16-bit number in its body. */
function withExtreme(segment: Uint8Array, random: Generator): Uint8Array {
  if (segment.length <= 4) return segment;
  const at = 4 + random.integer(segment.length - 4);
  return random.integer(2) === 0 ? spliced(segment, at, at + 1, [random.pick([...EXTREME_BYTES, 0x11, 0x22, 0x41])]) : spliced(segment, at, at + 2, uint(extremeNumber(segment.length, random), 2).reverse());
}

/** An Exif directory with one entry, in place or not. */
function exif(random: Generator): number[] {
  const [count, offset] = [extremeNumber(32, random), random.pick([8, 0, 12, extremeNumber(32, random)])];
  return [...bytesOfText("II*\0"), ...uint(offset, 4), ...uint(random.pick([1, 0, count]), 2), ...uint(0x112, 2), ...uint(random.pick([3, 4, 99]), 2), ...uint(random.pick([1, count]), 4), ...uint(random.integer(12), 4), ...uint(0, 4)];
}

const editSegments: Mutation = (bytes, random, donor) => {
  let segments = segmentsOf(bytes);
  for (let i = random.integer(3); i >= 0; i--) {
    const at = random.integer(segments.length);
    if (random.integer(2) === 0) segments = segments.map((segment, j) => (j === at ? withExtreme(segment, random) : segment));
    else segments = mutatePieces(segments, random, segmentsOf(donor));
    if (segments.length === 0) break;
  }
  if (random.integer(8) === 0) {
    const body = [...bytesOfText("Exif\0\0"), ...exif(random)];
    segments.splice(1, 0, Uint8Array.from([0xff, 0xe1, ...uint(body.length + 2, 2).reverse(), ...body]));
  }
  return concatenate(...segments);
};

// PNG: chunks with lengths and checksums that fit again.

interface Chunk {
  readonly type: string;
  readonly body: Uint8Array;
}

function chunksOf(bytes: Uint8Array): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks: Chunk[] = [];
  for (let at = PNG_SIGNATURE_BYTES; at < bytes.length; ) {
    const length = view.getUint32(at);
    chunks.push({ type: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), body: bytes.subarray(at + 8, at + 8 + length) });
    at += 12 + length;
  }
  return chunks;
}

/** The checksum of PNG and zip. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function pngOf(signature: Uint8Array, chunks: readonly Chunk[]): Uint8Array {
  return concatenate(signature, ...chunks.map(({ type, body }) => {
    const typed = concatenate(bytesOfText(type), body);
    return concatenate(uint(body.length, 4).reverse(), typed, uint(crc32(typed), 4).reverse());
  }));
}

let bomb: Uint8Array | undefined;

const editChunks: Mutation = (bytes, random, donor) => {
  let chunks = chunksOf(bytes);
  const at = random.integer(chunks.length);
  const { type, body } = chunks[at];
  const replace = (changed: Uint8Array): void => void (chunks[at] = { type, body: changed });
  switch (random.integer(5)) {
    case 0:
      if (type === "IDAT" && random.integer(10) === 0) replace((bomb ??= deflateSync(new Uint8Array(BOMB_BYTES))));
      else if (type === "IDAT") replace(deflateSync(random.pick(BLIND)(inflateSync(body), random, donor)));
      else if (body.length > 0) replace(spliced(body, ...randomRange(body.length, random, 4), uint(extremeNumber(body.length, random), 4).reverse()));
      break;
    case 1:
      if (body.length > 0) replace(random.pick(BLIND)(body, random, donor));
      break;
    case 2:
      chunks.splice(at, 0, { type: random.pick(["tRNS", "PLTE", "IDAT", "IEND", "eXIf", "zTXt", "acTL", "abcd", "ABCD"]), body: Uint8Array.from(random.pick([[], [0, 0], exif(random)])) });
      break;
    case 3:
      if (body.length > 0) chunks.splice(at, 1, { type, body: body.subarray(0, body.length >> 1) }, { type, body: body.subarray(body.length >> 1) });
      break;
    default: {
      const [i, j] = [random.integer(chunks.length), random.integer(chunks.length)];
      chunks = random.pick([chunks.toSpliced(i, 1), chunks.toSpliced(j, 0, chunks[i]), chunks.with(i, chunks[j]), [...chunks.slice(0, i), ...chunksOf(donor).slice(j)]]);
    }
  }
  return pngOf(bytes.subarray(0, PNG_SIGNATURE_BYTES), chunks);
};

/** Mutations that know a format; their input must be a sound file. */
export const INFORMED = {
  safetensors: [editHeader],
  pickle: [editOpcodes, editOpcodes, nest],
  zip: [editDirectory, editEntry, editEntry, editEntry],
  jpeg: [editSegments],
  png: [editChunks],
} as const satisfies Record<string, readonly Mutation[]>;
