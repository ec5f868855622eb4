/**
 * Checkpoints in several files: an index in JSON says which tensor lies in which of them.
 *
 * Source: `model.safetensors.index.json` of Hugging Face's transformers; `pytorch_model.bin.index.json` has the same form.
 */

import { CheckpointError, InputError, printable, shown } from "../core/errors.ts";
import type { ByteSource, CheckpointReader } from "./reader.ts";
import { findDuplicateKey, isJsonObject, MAX_HEADER_BYTES } from "./safetensors.ts";
import { storedBytes, type StoredTensor } from "./stored.ts";

const SHARD_DIGITS = 5; // model-00001-of-00003.safetensors
const INCOMPLETE = "the files don't belong together or one is missing; download all of them again";

/** Name of a tensor → name of the file that holds it, beside the index. */
export type WeightMap = ReadonlyMap<string, string>;

interface ShardIndex {
  readonly weightMap: WeightMap;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A path below the index's own folder: not absolute, no way up, no drive, no backslash, no control characters. */
function isBeside(path: string): boolean {
  return !/[\\:\p{Cc}]/u.test(path) && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** Reads an index. @throws CheckpointError unless its weight_map maps every tensor to a file beside it. */
export function parseShardIndex(text: string, file: string): ShardIndex {
  const refuse = (rule: string, got: string, hint = "download the index again"): never => {
    throw new CheckpointError(`${file}: ${rule}; got ${got}`, hint);
  };
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    return refuse("an index must be JSON", printable(cause instanceof Error ? cause.message : String(cause)));
  }
  const duplicate = findDuplicateKey(text);
  if (duplicate !== undefined) return refuse("every key of the index must be unique", `${shown(duplicate)} twice`);
  const map = isJsonObject(json) ? json.weight_map : undefined;
  if (!isJsonObject(json) || !isJsonObject(map)) {
    return refuse("a JSON file must be an index with a weight_map to be opened as a checkpoint", "none", "give the file with the weights, such as model.safetensors");
  }
  const weightMap = new Map<string, string>();
  for (const [key, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || !isBeside(shard)) return refuse("weight_map must name files beside the index", `${shown(shard)} for ${shown(key)}`);
    weightMap.set(key, shard);
  }
  if (weightMap.size === 0) return refuse("weight_map must name at least one tensor", "none");
  const metadata = isJsonObject(json.metadata) ? Object.entries(json.metadata).filter(([, value]) => typeof value !== "object") : []; // total_size and its like
  return { weightMap, metadata: Object.fromEntries(metadata.map(([key, value]) => [key, String(value)])) };
}

/** Holds what a shard contains against what the index says of it. */
function checkShard(shard: string, reader: CheckpointReader, { weightMap }: ShardIndex, file: string): void {
  const expected = [...weightMap].filter(([, other]) => other === shard).map(([key]) => key);
  const missing = expected.find((key) => !reader.tensors.has(key));
  if (missing !== undefined) throw new CheckpointError(`${file}: ${shard} must hold the tensor ${shown(missing)}; got ${reader.tensors.size} others`, INCOMPLETE);
  const stray = [...reader.tensors.keys()].find((key) => weightMap.get(key) !== shard);
  if (stray === undefined) return;
  const elsewhere = weightMap.get(stray);
  const got = elsewhere === undefined ? `${shown(stray)}, which the index does not list` : `${shown(stray)}, which the index says is in ${elsewhere}`;
  throw new CheckpointError(`${file}: ${shard} must hold ${expected.length} tensors; got ${reader.tensors.size}, among them ${got}`, INCOMPLETE);
}

/**
 * Opens all files of an index as one checkpoint. Tensors are in the order of the files, and of each file.
 *
 * @param openShard Opens a file by its path relative to the index.
 * @throws CheckpointError if the index is damaged, or the files are not what it says.
 */
export async function openSharded(source: ByteSource, name: string, openShard: (file: string) => Promise<CheckpointReader>): Promise<CheckpointReader> {
  if (source.size > MAX_HEADER_BYTES) throw new CheckpointError(`${name}: an index must be at most ${MAX_HEADER_BYTES} bytes long; got ${source.size}`);
  const index = parseShardIndex(new TextDecoder().decode(await source.read(0, source.size)), name);
  const shards: CheckpointReader[] = [];
  const close = async (): Promise<void> => void (await Promise.all(shards.map((shard) => shard.close())));
  const owners = new Map<string, CheckpointReader>();
  const tensors = new Map<string, StoredTensor>();
  try {
    for (const file of [...new Set(index.weightMap.values())].toSorted()) {
      const reader = await openShard(file).catch((cause: unknown): never => {
        if (!(cause instanceof InputError)) throw cause;
        throw new CheckpointError(`${name}: must have its part ${file} beside it; ${cause.message}`, undefined, { cause });
      });
      shards.push(reader);
      checkShard(file, reader, index, name);
      for (const [key, tensor] of reader.tensors) {
        tensors.set(key, tensor);
        owners.set(key, reader);
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  await source.close();
  const ownerOf = (key: string): CheckpointReader => {
    const owner = owners.get(key);
    if (owner === undefined) throw new CheckpointError(`${name}: must hold the tensor ${shown(key)}; got none of that name`);
    return owner;
  };
  return {
    file: name,
    format: "sharded",
    tensors,
    metadata: { ...shards[0].metadata, ...index.metadata },
    read: async (key) => ownerOf(key).read(key),
    readPart: async (key, begin, end) => ownerOf(key).readPart(key, begin, end),
    close,
  };
}

/** One of the files that a checkpoint is cut into. */
export interface Shard {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/**
 * Cuts a checkpoint into files of at most `maxBytes` of data, in order; a tensor that is larger gets a file of its own.
 *
 * @param stem What the files' names begin with: `model` gives `model-00001-of-00003.safetensors`, or `model.safetensors` if
 *   one is enough.
 */
export function planShards(tensors: ReadonlyMap<string, StoredTensor>, stem: string, maxBytes: number): Shard[] {
  const parts: Map<string, StoredTensor>[] = [new Map()];
  let filled = 0;
  for (const [key, tensor] of tensors) {
    const bytes = storedBytes(tensor);
    if (filled > 0 && filled + bytes > maxBytes) {
      parts.push(new Map());
      filled = 0;
    }
    parts[parts.length - 1].set(key, tensor);
    filled += bytes;
  }
  const pad = (number: number): string => String(number).padStart(SHARD_DIGITS, "0");
  return parts.map((part, i) => ({ file: parts.length === 1 ? `${stem}.safetensors` : `${stem}-${pad(i + 1)}-of-${pad(parts.length)}.safetensors`, tensors: part }));
}

/** The text of the index of these files. */
export function shardIndex(shards: readonly Shard[]): string {
  const entries = shards.flatMap(({ file, tensors }) => [...tensors.keys()].map((key) => [key, file] as const));
  const bytes = shards.flatMap(({ tensors }) => [...tensors.values()]).reduce((sum, tensor) => sum + storedBytes(tensor), 0);
  return `${JSON.stringify({ metadata: { total_size: bytes }, weight_map: Object.fromEntries(entries) }, null, 2)}\n`;
}
