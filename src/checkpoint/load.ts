/** Loading a checkpoint into a module: everything is checked first, then tensors stream from the file to the device. */

import { hostDType, typedArray, type TypedArray } from "../core/dtype.ts";
import { CheckpointError, printable, shown } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { sizeOf } from "../core/shape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import type { Module } from "../nn/module.ts";
import type { Assembly } from "./layout.ts";
import { matchKeys, type MatchOptions } from "./matching.ts";
import { assembledShape, shapesOf, type KeyMatch } from "./pairing.ts";
import { partsOf, type CheckpointReader } from "./reader.ts";
import { hostDTypeOf } from "./stored.ts";

const BYTES_IN_FLIGHT = 1 << 25; // written to the device before its queue is waited for: each byte of them is held twice

/** How {@link loadInto} shall read the keys, and what it may overlook. */
export type LoadOptions = Omit<MatchOptions, "file">;

/** What was loaded from where. */
export interface LoadReport {
  /** Name of the layout that was found, and what stands before every key in the file. */
  readonly layout: string;
  readonly prefix: string;
  /** Tensors of the module that were filled, and their values. */
  readonly tensors: number;
  readonly values: number;
  /** Stored keys that the model has no use for: other models in the file, heads that it does not have, masks. */
  readonly ignored: readonly string[];
}

/**
 * Puts a tensor together from stored ones, such as query, key and value in one matrix. Gradients that are stored under a
 * layout's names are put together in the same way.
 * @throws CheckpointError if a piece is missing, or the pieces don't fit together.
 */
export async function assemble({ pieces, transposed }: Assembly, reader: CheckpointReader): Promise<HostTensor> {
  const stored = pieces.map((piece) => {
    const tensor = reader.tensors.get(piece);
    if (tensor === undefined) throw new CheckpointError(`${reader.file}: must hold the tensor ${shown(piece)}; got none of that name`);
    return tensor;
  });
  const shape = assembledShape(stored.map((tensor) => tensor.shape), transposed);
  if (shape === null) throw new CheckpointError(`${reader.file}: ${pieces.map(printable).join(", ")} must have shapes that can be joined; got ${stored.map((tensor) => `[${tensor.shape.join(",")}]`).join(", ")}`);
  const dtype = hostDTypeOf(stored[0].dtype);
  const data = typedArray(dtype, sizeOf(shape));
  const isTransposed = transposed && shape.length === 2;
  const [columns, rows] = shape; // of the transposed matrix: element r · columns + c of the stored one goes to c · rows + r
  let first = 0;
  for (const piece of pieces) {
    for await (const [begin, part] of partsOf(reader, piece)) {
      if (!isTransposed) data.set(part, first + begin);
      else for (let i = 0, at = first + begin; i < part.length; i++, at++) data[(at % columns) * rows + Math.floor(at / columns)] = part[i];
    }
    first += sizeOf(reader.tensors.get(piece)!.shape);
  }
  return { dtype, shape, data };
}

/** Refuses floats where integers must be, and the other way round. */
export function checkTypes(tensors: ReadonlyMap<string, Tensor>, { assemblies }: Pick<KeyMatch, "assemblies">, reader: CheckpointReader): void {
  for (const [key, { pieces }] of assemblies) {
    const expected = hostDType(tensors.get(key)!.dtype);
    const wrong = pieces.find((piece) => hostDTypeOf(reader.tensors.get(piece)!.dtype) !== expected);
    if (wrong === undefined) continue;
    const rule = `${printable(wrong)} must be stored as ${expected === "f32" ? "floats" : "integers"} for ${key}`;
    throw new CheckpointError(`${reader.file}: ${rule}; got ${reader.tensors.get(wrong)!.dtype}`, "nothing was loaded; check that the file belongs to this model and this configuration");
  }
}

/** Holds copies in the file against what they must equal, because the model has one tensor for both. */
async function checkTied({ tied }: KeyMatch, reader: CheckpointReader): Promise<void> {
  for (const [copy, original] of tied) {
    const refuse = (got: string): never => {
      throw new CheckpointError(`${reader.file}: ${printable(copy)} must equal ${printable(original)}, because the model has one tensor for both; got ${got}`, "nothing was loaded; a head of its own is not supported");
    };
    const [a, b] = [copy, original].map((key) => reader.tensors.get(key)?.shape ?? []);
    if (a.join() !== b.join()) return refuse(`shapes [${a.join(",")}] and [${b.join(",")}]`);
    for await (const [begin, part] of partsOf(reader, copy)) {
      const other = await reader.readPart(original, begin, begin + part.length);
      const at = part.findIndex((value, i) => !Object.is(value, other[i]));
      if (at >= 0) return refuse(`${part[at]} and ${other[at]} at element ${begin + at}`);
    }
  }
}

/**
 * Fills the parameters and the state of a module from a checkpoint of any known layout.
 *
 * All keys, shapes and types are checked before the first byte is written. Then one tensor after another is read; a large one in
 * parts, so that little more than the module's own memory is needed.
 *
 * @example
 * const model = uninitialised(() => new VisionTransformer(builder, config));
 * const { layout, ignored } = await loadInto(model, await openCheckpoint("vit.safetensors"));
 * @throws CheckpointError that counts and names missing, unexpected and misshapen keys.
 */
export async function loadInto(module: Module, reader: CheckpointReader, options: LoadOptions = {}): Promise<LoadReport> {
  const tensors = new Map(module.namedTensors());
  const match = matchKeys(shapesOf(tensors), shapesOf(reader.tensors), { ...options, file: reader.file });
  checkTypes(tensors, match, reader);
  await checkTied(match, reader);
  let values = 0;
  let inFlight = 0;
  const write = async (tensor: Tensor, data: TypedArray, begin: number): Promise<void> => {
    tensor.writePart(data, begin);
    inFlight += data.byteLength;
    if (inFlight < BYTES_IN_FLIGHT) return;
    inFlight = 0;
    await tensor.device.idle();
  };
  for (const [key, assembly] of match.assemblies) {
    const tensor = tensors.get(key)!;
    const { pieces, transposed } = assembly;
    if (pieces.length === 1 && !transposed) for await (const [begin, part] of partsOf(reader, pieces[0])) await write(tensor, part, begin);
    else await write(tensor, (await assemble(assembly, reader)).data, 0);
    values += tensor.size;
  }
  await tensors.values().next().value?.device.idle();
  return { layout: match.layout.name, prefix: match.prefix, tensors: match.assemblies.size, values, ignored: match.ignored };
}
