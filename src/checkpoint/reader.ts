import type { TypedArray } from "../core/dtype.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sizeOf } from "../core/shape.ts";
import type { StoredTensor } from "./stored.ts";

const PART_ELEMENTS = 1 << 20; // 4 MiB on the host; even, so that parts of f16 tensors are whole 32-bit words

/** Anything that can hand out byte ranges: a file, a Blob, an HTTP server, memory. */
export interface ByteSource {
  /** Length of the whole in bytes. */
  readonly size: number;
  /** Exactly the bytes [begin, end), in an array that the reader may keep. */
  read(begin: number, end: number): Promise<Uint8Array>;
  /** Lets go of what it holds open. */
  close(): Promise<void>;
}

/** A checkpoint, whatever its format: names, types and shapes at once, values when they are asked for. */
export interface CheckpointReader {
  /** The file's name, for error messages. */
  readonly file: string;
  readonly format: "safetensors" | "PyTorch zip" | "PyTorch legacy" | "sharded";
  /** In the order of the file. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * Reads and converts one tensor: floats to f32, integers and booleans to i32.
   * @throws CheckpointError if there is no such tensor, or an integer in it does not fit into 32 bits.
   */
  read(name: string): Promise<HostTensor>;
  /** The elements [begin, end) of a tensor in row-major order, so that a large one never has to be in memory whole. */
  readPart(name: string, begin: number, end: number): Promise<TypedArray>;
  /** Closes the file; nothing can be read after that. */
  close(): Promise<void>;
}

/** Bytes that are in memory already, as a source. Reads are views, not copies. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: async (begin, end) => bytes.subarray(begin, end), close: async () => undefined };
}

/** The elements of a tensor in parts of at most 4 MiB, each with the index of its first element. */
export async function* partsOf(reader: CheckpointReader, name: string): AsyncGenerator<readonly [begin: number, data: TypedArray]> {
  const size = sizeOf(reader.tensors.get(name)?.shape ?? []);
  for (let begin = 0; begin < size; begin += PART_ELEMENTS) yield [begin, await reader.readPart(name, begin, Math.min(size, begin + PART_ELEMENTS))];
}
