import { existsSync } from "node:fs";
import { basename } from "node:path";
import { openCheckpoint, saveSharded, shardedFiles, type CheckpointContents } from "../checkpoint/files.ts";
import { wrapperOf } from "../checkpoint/matching.ts";
import { partsOf, type CheckpointReader } from "../checkpoint/reader.ts";
import { encodeTensor, hostDTypeOf, storedBytes, type StoredDType, type StoredTensor } from "../checkpoint/stored.ts";
import { InputError } from "../core/errors.ts";
import { byteSize, counted, duration } from "../core/format.ts";
import { Progress } from "./progress.ts";
import { note, print } from "./terminal.ts";

/** Types of floats that can be asked for. */
export const FLOAT_DTYPES = ["f32", "f16", "bf16"] as const;

export interface ConvertOptions {
  readonly dtype?: (typeof FLOAT_DTYPES)[number];
  /** Most bytes of data in a file. */
  readonly maxShard?: number;
  readonly force?: boolean;
}

/** From here on, the nearest number of a type is infinite. */
const OVERFLOW: Partial<Record<StoredDType, number>> = { F16: 65520, BF16: (2 - 2 ** -8) * 2 ** 127 };

/** `sightline convert`: any checkpoint as safetensors, a part at a time. */
export async function convert(input: string, output: string, { dtype, maxShard = Infinity, force = false }: ConvertOptions): Promise<number> {
  if (!output.endsWith(".safetensors")) throw new InputError(`${output}: the output must end in .safetensors`, "only safetensors files are written");
  const begun = performance.now();
  const reader = await openCheckpoint(input);
  const progress = new Progress(process.stderr);
  try {
    const names = storedNames(reader);
    const tensors = new Map([...names].map(([name, stored]) => [name, converted(reader.tensors.get(stored)!, dtype)]));
    const existing = shardedFiles(output, tensors, maxShard).paths.find((path) => existsSync(path));
    if (existing !== undefined && !force) throw new InputError(`${existing} exists already`, "choose another name, or overwrite it with --force");
    const total = [...tensors.values()].reduce((sum, tensor) => sum + storedBytes(tensor), 0);
    let done = 0;
    let overflows = 0;
    const bytesOf = async function* (name: string): AsyncGenerator<Uint8Array> {
      const target = tensors.get(name)!.dtype;
      for await (const [, part] of partsOf(reader, names.get(name)!)) {
        const limit = OVERFLOW[target];
        if (limit !== undefined) for (const value of part) if (Math.abs(value) >= limit && Number.isFinite(value)) overflows++;
        const bytes = encodeTensor(part, target);
        yield bytes;
        done += bytes.length;
        progress.update("converting", done, total, `${byteSize(done)} of ${byteSize(total)}`);
      }
    };
    const contents: CheckpointContents = { tensors, metadata: { ...reader.metadata, source: `${basename(reader.file)} (${reader.format})` }, bytesOf };
    const paths = await saveSharded(output, contents, maxShard);
    progress.stop();
    const narrowed = [...reader.tensors.values()].filter((tensor) => tensor.dtype === "F64").length;
    if (narrowed > 0 && dtype === undefined) note(`${counted(narrowed, "tensor")} of F64 became F32`);
    if (overflows > 0) note(`warning: ${counted(overflows, "value")} beyond the range of ${dtype} became infinite (${dtype === "f16" ? "bf16" : "f32"} would not lose them)`);
    for (const path of paths) print(path);
    note(`${counted(tensors.size, "tensor")}, ${byteSize(total)}, in ${duration((performance.now() - begun) / 1000)}`);
    return 0;
  } finally {
    progress.stop();
    await reader.close();
  }
}

/** The names in the new file with those in the old one: the `module.` of a data-parallel wrapper is taken off. */
function storedNames({ tensors }: CheckpointReader): Map<string, string> {
  const keys = [...tensors.keys()];
  const wrapper = wrapperOf(keys);
  return new Map(keys.map((key) => [key.slice(wrapper.length), key]));
}

/** Floats take the type that is asked for; F64 becomes F32, the widest float here; integers stay as they are. */
function converted({ dtype, shape }: StoredTensor, wanted: ConvertOptions["dtype"]): StoredTensor {
  if (hostDTypeOf(dtype) !== "f32") return { dtype, shape };
  return { dtype: (wanted?.toUpperCase() as StoredDType | undefined) ?? (dtype === "F64" ? "F32" : dtype), shape };
}
