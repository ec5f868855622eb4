/** Damaged files: each must be read rightly or refused by one clear line. Nothing here prints. */

import { readdirSync, readFileSync } from "node:fs";
import { numpyTensor, NumpyArray } from "../../src/checkpoint/torch/numpy.ts";
import { readPickle } from "../../src/checkpoint/torch/pickle.ts";
import { PickleRecord, type PickleValue } from "../../src/checkpoint/torch/pickle-values.ts";
import { memorySource, type CheckpointReader } from "../../src/checkpoint/reader.ts";
import { openSafetensorsSource, writeSafetensors } from "../../src/checkpoint/safetensors.ts";
import { openTorchSource } from "../../src/checkpoint/torch/file.ts";
import { SightlineError } from "../../src/core/errors.ts";
import { Generator } from "../../src/core/rng.ts";
import { decodeImage } from "../../src/data/image.ts";
import { concatenate } from "../byte-maker.ts";
import { BLIND, INFORMED, type Mutation } from "./mutations.ts";

export type FileKind = "safetensors" | "pickle" | "torch" | "jpeg" | "png";

/** What became of an input. */
export const FILE_OUTCOMES = ["read", "refused", "wrong"] as const;
export type FileOutcome = (typeof FILE_OUTCOMES)[number];

/** One input that was tried. */
export interface FileTrial {
  readonly kind: FileKind;
  readonly outcome: FileOutcome;
  /** If it went wrong. */
  readonly problem?: string;
  /** Whether it took too much time or memory. */
  readonly isCostly?: boolean;
}

interface Kind {
  readonly seeds: readonly Uint8Array[];
  readonly informed: readonly Mutation[];
  /** Reads everything in the file and says what cannot be right; throws what the reader throws. */
  readonly read: (bytes: Uint8Array, name: string) => Promise<string | undefined>;
  /** Bytes of memory that a reader may take: what the headers ask for, if they are no plain lies. */
  readonly honestBytes: (bytes: Uint8Array) => number;
}

const HANG_MS = 2000;
const MAX_MESSAGE = 2000; // characters
const MEGABYTE = 2 ** 20;
const NOISE_BYTES = 12 * MEGABYTE; // what the runtime itself may take in the meantime, for compiled code above all
const MAX_MEGAPIXELS = 2; // of pictures: larger ones would take honest time

const folder = (path: string, pattern: RegExp): Uint8Array[] =>
  readdirSync(path).filter((name) => pattern.test(name)).sort().map((name) => new Uint8Array(readFileSync(`${path}/${name}`))); // prettier-ignore

function safetensorsSeeds(): Uint8Array[] {
  const weight = { dtype: "f32", shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) } as const;
  const ids = { dtype: "i32", shape: [4], data: Int32Array.of(-1, 0, 1, 2 ** 31 - 1) } as const;
  const scalar = { dtype: "u32", shape: [], data: Uint32Array.of(7) } as const;
  const small = concatenate(...writeSafetensors([["weight", weight]]));
  return [small, concatenate(...writeSafetensors([["a.weight", weight], ["ids", ids], ["größe", scalar], ["empty", { dtype: "f32", shape: [0, 3], data: new Float32Array() }]], { format: "pt" }))];
}

/** Reads every tensor, in one piece and in two. */
async function readTensors(reader: CheckpointReader): Promise<string | undefined> {
  for (const [name, { shape }] of reader.tensors) {
    const { data, shape: got } = await reader.read(name);
    const size = shape.reduce((product, n) => product * n, 1);
    if (data.length !== size || got.join() !== shape.join()) return `tensor ${JSON.stringify(name)} has ${data.length} elements, not ${size}`;
    const middle = size >> 1;
    const parts = [...(await reader.readPart(name, 0, middle)), ...(await reader.readPart(name, middle, size))];
    if (!parts.every((value, i) => Object.is(value, data[i]))) return `tensor ${JSON.stringify(name)} reads otherwise in parts`;
  }
  return undefined;
}

/** The values of F32 tensors, read by other means. */
async function readSafetensorsFile(bytes: Uint8Array, name: string): Promise<string | undefined> {
  const reader = await openSafetensorsSource(memorySource(bytes), name);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start))) as Record<string, { dtype: string; data_offsets: [number, number] }>;
  for (const key of reader.tensors.keys()) {
    const { dtype, data_offsets: [begin] } = header[key]; // prettier-ignore
    const { data } = await reader.read(key);
    if (dtype === "F32" && !data.every((value, i) => Object.is(value, view.getFloat32(start + begin + 4 * i, true)))) return `tensor ${JSON.stringify(key)} has other values`;
  }
  return readTensors(reader);
}

/** Walks over a value as anyone would, recursively. */
function walk(value: PickleValue, name: string): void {
  if (value instanceof NumpyArray) numpyTensor(value, name);
  else if (value instanceof PickleRecord) for (const part of [value.state, value.args, value.elements, value.entries]) walk(part, name);
  else if (value instanceof Map) for (const entry of value as ReadonlyMap<PickleValue, PickleValue>) walk(entry, name);
  else if (Array.isArray(value) || value instanceof Set) for (const part of value as Iterable<PickleValue>) walk(part, name);
}

/** Pixels of the largest frame that a file speaks of, wherever that stands. */
function jpegPixels(bytes: Uint8Array): number {
  let most = 0;
  for (let at = 0; at + 8 < bytes.length; at++) {
    if (bytes[at] === 0xff && bytes[at + 1] >= 0xc0 && bytes[at + 1] <= 0xc2) most = Math.max(most, (bytes[at + 5] * 256 + bytes[at + 6]) * (bytes[at + 7] * 256 + bytes[at + 8]));
  }
  return Math.min(most, MAX_MEGAPIXELS * 1e6);
}

function pngPixels(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let most = 0;
  for (let at = 8; at + 12 <= bytes.length; at++) if (view.getUint32(at) === 0x49484452) most = Math.max(most, view.getUint32(at + 4) * view.getUint32(at + 8));
  return Math.min(most, MAX_MEGAPIXELS * 1e6);
}

async function readPicture(bytes: Uint8Array, name: string): Promise<string | undefined> {
  const { width, height, data } = decodeImage(bytes, name, { maxMegapixels: MAX_MEGAPIXELS });
  return data.length === width * height * 3 && width > 0 && height > 0 ? undefined : `${width}×${height} pixels in ${data.length} bytes`;
}

const KINDS: Readonly<Record<FileKind, () => Kind>> = {
  safetensors: () => ({
    seeds: safetensorsSeeds(),
    informed: INFORMED.safetensors,
    read: readSafetensorsFile,
    honestBytes: (bytes) => 100 * bytes.length, // each entry of the JSON becomes a few objects
  }),
  pickle: () => ({
    seeds: folder("test/golden/checkpoints", /\.pkl$/),
    informed: INFORMED.pickle,
    read: async (bytes, name) => walk(readPickle(bytes, name), name) as undefined,
    honestBytes: (bytes) => 400 * bytes.length, // an opcode of one byte makes an empty dict
  }),
  torch: () => ({
    seeds: folder("test/golden/checkpoints", /\.pth?$/),
    informed: [(bytes, random, donor) => random.pick<Mutation>(bytes[0] === 0x80 ? INFORMED.pickle : INFORMED.zip)(bytes, random, donor[0] === bytes[0] ? donor : bytes)],
    read: async (bytes, name) => readTensors(await openTorchSource(memorySource(bytes), name)),
    // Tensors may share storages and be expanded: a million elements at most, read twice here.
    honestBytes: (bytes) => 400 * bytes.length + 2 * 4 * 8 * 2 ** 20,
  }),
  jpeg: () => ({
    seeds: folder("test/golden/images", /\.jpg$/),
    informed: INFORMED.jpeg,
    read: readPicture,
    honestBytes: (bytes) => 100 * bytes.length + 64 * jpegPixels(bytes), // coefficients, samples and pixels of up to four components
  }),
  png: () => ({
    seeds: folder("test/golden/images", /\.png$/),
    informed: INFORMED.png,
    read: readPicture,
    honestBytes: (bytes) => 100 * bytes.length + 64 * pngPixels(bytes), // rows of up to eight bytes a pixel, and pixels
  }),
};

export const FILE_KINDS = Object.keys(KINDS) as readonly FileKind[];

/** What is wrong with an error, if anything. */
function problemOfError(error: unknown, name: string): string | undefined {
  if (!(error instanceof SightlineError)) return error instanceof Error ? (error.stack ?? String(error)) : String(error);
  const { message } = error;
  if (!message.includes(name)) return `the error does not name the file: ${message}`;
  if (/[\p{Cc}\u2028\u2029]/u.test(message)) return `the error has line breaks or control characters: ${JSON.stringify(message)}`;
  return message.length > MAX_MESSAGE ? `the error has ${message.length} characters` : undefined;
}

/** Bytes in use, of JavaScript's heap and of typed arrays. */
function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/**
 * Reads a file once and judges what comes of it.
 *
 * @param name Must stand in the error's message.
 * @param honestBytes Memory that the reader may take. What is in use is measured before and after, without a garbage
 * collection in between as a rule: so most of what was allocated counts, not only what was kept.
 */
export async function tryFile(read: () => Promise<string | undefined>, name: string, honestBytes: number): Promise<Omit<FileTrial, "kind">> {
  const honest = NOISE_BYTES + honestBytes;
  const before = usedBytes();
  const start = performance.now();
  let outcome: FileOutcome = "read";
  let problem: string | undefined;
  try {
    problem = await read();
  } catch (error) {
    outcome = "refused";
    problem = problemOfError(error, name);
  }
  const milliseconds = performance.now() - start;
  const taken = usedBytes() - before;
  if (milliseconds > HANG_MS) return { outcome: "wrong", problem: `took ${milliseconds.toFixed(0)} ms`, isCostly: true };
  if (taken > honest) return { outcome: "wrong", problem: `took ${(taken / MEGABYTE).toFixed(1)} MB of memory, honest would be ${(honest / MEGABYTE).toFixed(1)}`, isCostly: true };
  return problem === undefined ? { outcome } : { outcome: "wrong", problem };
}

/** Makes and tries the inputs of a seed: the same ones each time, whatever was tried before. */
export class FileFuzzer {
  private readonly seed: number;
  private readonly kinds: readonly FileKind[];
  private readonly loaded = new Map<FileKind, Kind>();

  constructor(seed: number, kinds: readonly FileKind[] = FILE_KINDS) {
    this.seed = seed;
    this.kinds = kinds;
  }

  /** The kinds take turns. */
  kindOf(index: number): FileKind {
    return this.kinds[index % this.kinds.length];
  }

  /** The input: a sound file in one of eight, otherwise one with one to three mutations. */
  bytesOf(index: number): Uint8Array {
    const { seeds, informed } = this.load(this.kindOf(index));
    const random = new Generator(this.seed, index);
    const [seed, donor] = [random.pick(seeds), random.pick(seeds)];
    if (random.integer(8) === 0) return seed;
    let bytes = random.integer(3) === 0 ? seed : random.pick(informed)(seed, random, donor);
    for (let rounds = bytes === seed ? 1 + random.integer(2) : Math.max(0, random.integer(4) - 2); rounds > 0 && bytes.length > 0; rounds--) {
      bytes = random.pick(BLIND)(bytes, random, donor);
    }
    return bytes;
  }

  /** Reads the input. What took too much time or memory is tried again, as others use the machine too. */
  async tryInput(index: number): Promise<FileTrial> {
    const kind = this.kindOf(index);
    const { read, honestBytes } = this.load(kind);
    const bytes = this.bytesOf(index);
    const name = `input ${index}`;
    const trial = (): Promise<Omit<FileTrial, "kind">> => tryFile(() => read(bytes, name), name, honestBytes(bytes));
    const first = await trial();
    return { kind, ...(first.isCostly === true ? await trial() : first) };
  }

  private load(kind: FileKind): Kind {
    const loaded = this.loaded.get(kind) ?? KINDS[kind]();
    this.loaded.set(kind, loaded);
    return loaded;
  }
}
