/** Checkpoints on disk (Node only): read one tensor at a time, written so that a crash never costs the previous file. */

import { randomBytes } from "node:crypto";
import { open, readdir, rename, rm, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { CheckpointError, InputError, printable } from "../core/errors.ts";
import { openSafetensorsSource, safetensorsHeader, writeSafetensors } from "./safetensors.ts";
import { planShards, shardIndex, type Shard } from "./sharded.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { openCheckpointSource, USUAL_WEIGHTS } from "./open.ts";
import type { ByteSource, CheckpointReader } from "./reader.ts";
import type { SafetensorsFile } from "./safetensors.ts";
import type { StoredTensor } from "./stored.ts";
import type { TorchReader } from "./torch/file.ts";

const READ_BYTES = 1 << 28; // one read call moves at most 2 GiB - 1
const WEIGHTS = /\.(?:safetensors|pt|pth|bin)$/;
const MAX_LISTED = 4; // files that a message names
const FOLDER_SYNC_REFUSALS = new Set(["EACCES", "EINVAL", "EISDIR", "ENOTSUP", "EPERM"]); // by some platforms and network mounts

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** One line for a failed system call: what was to be done with which path, why it failed, and the remedy. */
export function fileError(action: "read" | "write", path: string, cause: unknown): InputError {
  const refuse = (why: string, hint: string): InputError => new InputError(`cannot ${action} ${path}: ${why}`, hint, { cause });
  const code = codeOf(cause);
  switch (code) {
    case "ENOENT":
      return action === "read"
        ? refuse("there is no such file", "check the path")
        : refuse(`the folder ${dirname(path)} does not exist`, "create the folder, or choose another path");
    case "ENOTDIR":
      return refuse("a part of the path is a file, not a folder", "check the path");
    case "EISDIR":
      return refuse("it is a folder", "give the path of a file");
    case "EACCES":
    case "EPERM":
      return refuse("permission denied", "change the permissions, or choose another path");
    case "EROFS":
      return refuse("the file system is read-only", "choose another path");
    case "ENOSPC":
    case "EDQUOT":
      return refuse("the disk or the quota is full", "free some space or choose another path; a file that was there before is unchanged");
    case "EFBIG":
      return refuse("the file grew past what the disk or the process allows", "choose another disk, or raise ulimit -f");
    case "ENAMETOOLONG":
      return refuse("the name is too long", "choose a shorter name");
    default:
      return refuse(`the system answered ${code}`, "check the path and the disk");
  }
}

/** The operation's result; its failure as one clear line. */
export async function attempt<T>(action: "read" | "write", path: string, operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

/** Removes what a killed process of this machine left of an unfinished write of the same file. */
async function removeAbandoned(folder: string, prefix: string): Promise<void> {
  const names = await readdir(folder).catch(() => []); // a folder that cannot be listed may still take the file
  for (const name of names) {
    const pid = name.startsWith(prefix) ? /^(\d+)-[0-9a-f]+\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}

/** Makes a rename survive a power cut, where the platform can. */
async function syncFolder(folder: string, path: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder, "r");
    await handle.sync();
  } catch (cause) {
    if (!FOLDER_SYNC_REFUSALS.has(codeOf(cause))) throw fileError("write", path, cause);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes a file so that at every moment `path` holds either the whole old content or the whole new content.
 *
 * The chunks go to a hidden temporary file in the same folder, which is flushed to the disk and then renamed. It is removed
 * if anything fails, and by the next write of the same file if the process was killed.
 * @throws InputError if the folder is missing, or the disk is full, or permission is lacking; whatever `chunks` throws.
 */
export async function writeFileAtomically(path: string, chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<void> {
  const folder = dirname(path);
  const prefix = `.${basename(path)}.${hostname()}-`;
  const temporary = join(folder, `${prefix}${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  await removeAbandoned(folder, prefix);
  const handle = await attempt("write", path, open(temporary, "wx"));
  try {
    for await (const chunk of chunks) await attempt("write", path, handle.writeFile(chunk));
    await attempt("write", path, handle.sync());
    await attempt("write", path, handle.close());
    await attempt("write", path, rename(temporary, path));
  } catch (error) {
    // The first error is the one to report, and a second close does nothing.
    await handle.close().catch(() => undefined);
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(folder, path);
}

function fileSource(handle: FileHandle, size: number, path: string): ByteSource {
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(end - begin);
    for (let filled = 0; filled < bytes.length; ) {
      const length = Math.min(READ_BYTES, bytes.length - filled);
      const { bytesRead } = await attempt("read", path, handle.read(bytes, filled, length, begin + filled));
      if (bytesRead === 0) {
        const hint = "another program has changed it; try again";
        throw new CheckpointError(`${path}: must keep its ${size} bytes while it is read; got only ${begin + filled}`, hint);
      }
      filled += bytesRead;
    }
    return bytes;
  };
  return { size, read, close: () => handle.close() };
}

/** Opens a file as a source. @throws InputError if it cannot be read or is no plain file. */
async function openFile(path: string): Promise<ByteSource> {
  const stats = await attempt("read", path, stat(path));
  if (stats.isDirectory()) throw new InputError(`cannot read ${path}: it is a folder`, "give the path of a file");
  if (!stats.isFile()) throw new InputError(`cannot read ${path}: it is a device or a pipe`, "give the path of a plain file");
  return fileSource(await attempt("read", path, open(path, "r")), stats.size, path);
}

/** Opens a source and what is read from it; closes the source if that fails. */
async function openWith<T>(path: string, read: (source: ByteSource) => Promise<T>): Promise<T> {
  const source = await openFile(path);
  try {
    return await read(source);
  } catch (error) {
    await source.close();
    throw error;
  }
}

/** The file with the weights in a folder. */
async function findWeights(folder: string): Promise<string> {
  const names = await attempt("read", folder, readdir(folder));
  const found = USUAL_WEIGHTS.find((name) => names.includes(name));
  if (found !== undefined) return join(folder, found);
  const others = names.filter((name) => WEIGHTS.test(name)).toSorted();
  const got = names.length === 0 ? "an empty folder" : others.length === 0 ? "none of them" : `others: ${others.slice(0, MAX_LISTED).map(printable).join(", ")}`;
  const hint = others.length === 0 ? "give the path of the file with the weights" : `give the file's own path, such as ${printable(join(folder, others[0]))}`;
  throw new InputError(`${folder}: a folder must hold ${USUAL_WEIGHTS.slice(0, -1).join(", ")} or ${USUAL_WEIGHTS.at(-1)}; got ${got}`, hint);
}

/**
 * Opens a checkpoint of any format: a safetensors or PyTorch file, the index of one in several files, or a folder with one of
 * these under its usual name. Only the names, types and shapes are read at once.
 *
 * @throws InputError if the file cannot be read.
 * @throws CheckpointError if it is no checkpoint, with what it seems to be, or is damaged.
 */
export async function openCheckpoint(path: string): Promise<CheckpointReader | TorchReader> {
  const isFolder = (await attempt("read", path, stat(path))).isDirectory();
  const file = isFolder ? await findWeights(path) : path;
  return openWith(file, (source) => openCheckpointSource(source, file, (shard) => openFile(join(dirname(file), shard))));
}

/**
 * Opens a safetensors file and reads its header; tensors are read from the disk one by one.
 *
 * @throws InputError if the file cannot be read.
 * @throws CheckpointError if it breaks a rule of the format.
 */
export async function openSafetensors(path: string): Promise<CheckpointReader> {
  return openWith(path, (source) => openSafetensorsSource(source, path));
}

/**
 * Reads a whole file. Beside the result, at most one tensor's stored bytes are in memory.
 *
 * @throws InputError if the file cannot be read.
 * @throws CheckpointError if it breaks a rule of the format or a tensor cannot be held on the host.
 */
export async function loadSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, HostTensor>();
    for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
    return { tensors, metadata: { ...file.metadata } };
  } finally {
    await file.close();
  }
}

/**
 * Writes tensors and metadata with {@link writeFileAtomically}, without a copy of the data.
 *
 * @throws InputError if the file cannot be written.
 * @throws CheckpointError if the tensors do not make a valid file; nothing is written then.
 */
export async function saveSafetensors(
  path: string,
  tensors: Iterable<readonly [string, HostTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeFileAtomically(path, writeSafetensors(tensors, metadata));
}

/** A checkpoint that is to be written, of which only a part is in memory at a time. */
export interface CheckpointContents {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** The stored bytes of a tensor, in chunks. */
  bytesOf(name: string): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** The files in which {@link saveSharded} writes tensors of these sizes: the weights, then the index where there are several. */
export function shardedFiles(path: string, tensors: ReadonlyMap<string, StoredTensor>, maxBytes: number): { readonly shards: readonly Shard[]; readonly paths: readonly string[] } {
  const stem = basename(path).replace(/\.safetensors$/, "");
  const shards = planShards(tensors, stem, maxBytes);
  const names = shards.length === 1 ? [basename(path)] : [...shards.map(({ file }) => file), `${stem}.safetensors.index.json`];
  return { shards, paths: names.map((name) => join(dirname(path), name)) };
}

/**
 * Writes a checkpoint as safetensors, chunk by chunk: one file if `maxBytes` suffice, otherwise several of at most `maxBytes` of
 * data and, last of all, an index of them beside them.
 *
 * @param path `model.safetensors`; several files are then called `model-00001-of-00003.safetensors` and so on.
 * @returns The paths of the files.
 * @throws InputError if a file cannot be written.
 * @throws CheckpointError if the tensors do not make a valid file; nothing is written then.
 */
export async function saveSharded(path: string, contents: CheckpointContents, maxBytes = Infinity): Promise<readonly string[]> {
  const { shards, paths } = shardedFiles(path, contents.tensors, maxBytes);
  const headers = shards.map(({ tensors }, i) => safetensorsHeader(tensors, contents.metadata, paths[i]));
  for (const [i, { tensors }] of shards.entries()) {
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      yield headers[i];
      for (const name of tensors.keys()) yield* contents.bytesOf(name);
    };
    await writeFileAtomically(paths[i], chunks());
  }
  if (shards.length > 1) await writeFileAtomically(paths[shards.length], [new TextEncoder().encode(shardIndex(shards))]);
  return paths;
}
