/** A data set's folder on a disk (Node only). */

import { createHash } from "node:crypto";
import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../core/errors.ts";
import { EXPECTED } from "./caption-choice.ts";
import { isHidden, listingOf, MOST_FILES, type DatasetFolder, type FolderListing } from "./dataset-folder.ts";

/** Bytes of a file that are hashed at a time. */
const HASHED_BYTES = 1 << 18;

/** Why a file or folder cannot be read, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "nothing of that name";
  if (code === "EISDIR") return "a folder";
  if (code === "ENOTDIR") return "a file, not a folder";
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  return String(error);
}

/** A folder on a disk. */
export class DiskFolder implements DatasetFolder {
  readonly name: string;

  /** @param folder Its path. */
  constructor(folder: string) {
    this.name = folder;
  }

  list(): Promise<FolderListing> {
    return listFolder(this.name);
  }

  pathOf(file: string): string {
    return join(this.name, file);
  }

  async sizeOf(file: string): Promise<number> {
    return (await stat(this.pathOf(file)).catch(this.unreadable(file))).size;
  }

  async read(file: string, begin?: number, end?: number): Promise<Uint8Array> {
    const read = begin === undefined || end === undefined ? readFile(this.pathOf(file)) : readRange(this.pathOf(file), begin, end);
    return read.catch(this.unreadable(file));
  }

  async digest(file: string): Promise<string> {
    return digestOf(this.pathOf(file)).catch(this.unreadable(file));
  }

  private unreadable(file: string): (cause: unknown) => never {
    return (cause) => {
      throw new InputError(`${this.pathOf(file)} must be a readable file; got ${reasonOf(cause)}`, "check the path and the permissions", { cause });
    };
  }
}

/** Looks through a folder and all below it; links are followed, each folder is visited once. */
async function listFolder(folder: string): Promise<FolderListing> {
  const files: string[] = [];
  const visited = new Set<string>();
  let entries = 0;

  async function visit(below: string): Promise<void> {
    const path = join(folder, below);
    const real = await realpath(path).catch(unreadable(path));
    if (visited.has(real)) return;
    visited.add(real);
    const folders: string[] = [];
    const inside = await readdir(real, { withFileTypes: true }).catch(unreadable(path));
    for (const entry of inside.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (isHidden(entry.name)) continue;
      if (++entries > MOST_FILES) throw new InputError(`openDataset: ${folder} must hold at most ${MOST_FILES} files; got more`, "name the data set's own folder");
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      const target = entry.isSymbolicLink() ? await stat(join(folder, path)).catch(() => undefined) : entry;
      if (target?.isDirectory()) folders.push(path);
      else if (target?.isFile()) files.push(path); // a link to nothing, or a pipe, would keep a reader waiting
    }
    for (const path of folders) await visit(path);
  }

  await visit("");
  return listingOf(files, entries);
}

/** Refuses a folder that cannot be read. */
function unreadable(path: string): (cause: unknown) => never {
  return (cause) => {
    throw new InputError(`openDataset: ${path} must be a folder with images/ and ${EXPECTED}; got ${reasonOf(cause)}`, "check the path", { cause });
  };
}

async function readRange(path: string, begin: number, end: number): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const bytes = new Uint8Array(end - begin);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, begin);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Digests of files that this process has read, by path, size and time of change. */
const knownDigests = new Map<string, string>();

/** The SHA-256 of a file, read in pieces; once while it stays as it is. */
async function digestOf(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  const key = `${path}\0${size}\0${mtimeMs}`;
  const digest = knownDigests.get(key) ?? (await hashFile(path));
  knownDigests.set(key, digest);
  return digest;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  const piece = Buffer.allocUnsafe(HASHED_BYTES);
  const file = await open(path);
  try {
    for (let count = -1; count !== 0; ) {
      count = (await file.read(piece, 0, piece.length)).bytesRead;
      hash.update(piece.subarray(0, count));
    }
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}
