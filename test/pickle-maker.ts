/** Pickles and zip files put together by hand, so that broken ones and those of other versions can be made too. */

import { bytesOfText, concatenate, uint } from "./byte-maker.ts";

/** Opcodes with what follows them. */
export const op = {
  proto: (version = 2): number[] => [0x80, version],
  stop: [0x2e],
  mark: [0x28],
  none: [0x4e],
  true: [0x88],
  false: [0x89],
  int: (value: number): number[] => [0x4a, ...uint(value, 4)],
  long: (...bytes: number[]): number[] => [0x8a, bytes.length, ...bytes],
  text: (text: string): number[] => [0x58, ...uint(bytesOfText(text).length, 4), ...bytesOfText(text)],
  bytes: (bytes: ArrayLike<number>): number[] => [0x42, ...uint(bytes.length, 4), ...Array.from(bytes)],
  emptyTuple: [0x29],
  tuple1: [0x85],
  tuple2: [0x86],
  tuple: [0x74],
  emptyList: [0x5d],
  append: [0x61],
  appends: [0x65],
  emptyDict: [0x7d],
  setItem: [0x73],
  setItems: [0x75],
  emptySet: [0x8f],
  addItems: [0x90],
  put: (index: number): number[] => [0x72, ...uint(index, 4)],
  get: (index: number): number[] => [0x6a, ...uint(index, 4)],
  global: (module: string, name: string): number[] => [0x63, ...bytesOfText(`${module}\n${name}\n`)],
  reduce: [0x52],
  newObject: [0x81],
  build: [0x62],
  persistentId: [0x51],
} as const;

/** A tuple of values that are opcodes already. */
export function tuple(...values: readonly (readonly number[])[]): number[] {
  return [...op.mark, ...values.flat(), ...op.tuple];
}

/** A dict of values that are opcodes already. */
export function dict(entries: Readonly<Record<string, readonly number[]>>): number[] {
  return [...op.emptyDict, ...op.mark, ...Object.entries(entries).flatMap(([key, value]) => [...op.text(key), ...value]), ...op.setItems];
}

/** A whole pickle of protocol 2 around opcodes. */
export function pickle(...opcodes: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from([...op.proto(), ...opcodes.flat(), ...op.stop]);
}

/** A storage by its persistent id. */
export function storage(type: string, key: string, elements: number, view: readonly number[] = []): number[] {
  const [module, name] = [type.slice(0, type.lastIndexOf(".")), type.slice(type.lastIndexOf(".") + 1)];
  return [...tuple(op.text("storage"), op.global(module, name), op.text(key), op.text("cpu"), op.int(elements), view), ...op.persistentId];
}

/** A tensor on a storage, as PyTorch writes it. */
export function tensor(on: readonly number[], shape: readonly number[], strides: readonly number[], offset = 0): number[] {
  const sizes = (values: readonly number[]): number[] => tuple(...values.map(op.int));
  return [...op.global("torch._utils", "_rebuild_tensor_v2"), ...tuple(on, op.int(offset), sizes(shape), sizes(strides), op.false, op.none), ...op.reduce];
}

/** What of a zip file can be other than usual. */
export interface ZipOptions {
  readonly method?: number;
  readonly flags?: number;
  /** Sizes and offsets of 64 bits throughout. */
  readonly zip64?: boolean;
  readonly comment?: string;
}

/** A zip file with stored entries. */
export function zip(files: readonly (readonly [name: string, contents: Uint8Array])[], options: ZipOptions = {}): Uint8Array {
  const { method = 0, flags = 0, zip64 = false, comment = "" } = options;
  const wide = (value: number): number[] => (zip64 ? [255, 255, 255, 255] : uint(value, 4));
  const parts: ArrayLike<number>[] = [];
  const central: number[] = [];
  let at = 0;
  for (const [name, contents] of files) {
    const padding = [0x46, 0x42, 3, 0, 0, 0, 0]; // an extra field of the kind with which PyTorch aligns storages
    const local = [...uint(0x04034b50, 4), 0, 0, ...uint(flags, 2), ...uint(method, 2), ...Array.from({ length: 16 }, () => 0), ...uint(bytesOfText(name).length, 2), ...uint(padding.length, 2), ...bytesOfText(name), ...padding];
    const extra = zip64 ? [1, 0, 24, 0, ...uint(contents.length, 8), ...uint(contents.length, 8), ...uint(at, 8)] : [];
    central.push(...uint(0x02014b50, 4), 0, 0, 0, 0, ...uint(flags, 2), ...uint(method, 2), ...Array.from({ length: 8 }, () => 0), ...wide(contents.length), ...wide(contents.length));
    central.push(...uint(bytesOfText(name).length, 2), ...uint(extra.length, 2), ...Array.from({ length: 10 }, () => 0), ...wide(at), ...bytesOfText(name), ...extra);
    parts.push(local, contents);
    at += local.length + contents.length;
  }
  const end64 = [...uint(0x06064b50, 4), ...uint(44, 8), ...uint(0, 12), ...uint(files.length, 8), ...uint(files.length, 8), ...uint(central.length, 8), ...uint(at, 8)];
  const locator = [...uint(0x07064b50, 4), ...uint(0, 4), ...uint(at + central.length, 8), ...uint(1, 4)];
  const count = zip64 ? [255, 255] : uint(files.length, 2);
  const end = [...uint(0x06054b50, 4), 0, 0, 0, 0, ...count, ...count, ...wide(central.length), ...wide(at), ...uint(bytesOfText(comment).length, 2), ...bytesOfText(comment)];
  return concatenate(...parts, central, ...(zip64 ? [end64, locator] : []), end);
}
