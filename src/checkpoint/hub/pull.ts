/**
 * Published weights by name: finds the files, downloads what is missing, and keeps it. Runs in Node and in browsers; where files are
 * kept is a {@link HubStore}'s business.
 */

import { InputError, NetworkError } from "../../core/errors.ts";
import type { Hasher } from "../../core/sha256.ts";
import { download, type PartFile, type Received } from "./download.ts";
import { listFiles, probeFile } from "./listing.ts";
import { fileOf, findTarget, type HubFile, type Target } from "./names.ts";
import type { Connection } from "./request.ts";
import { PUBLISHED, type PublishedModel } from "./manifest.ts";

/** A complete file in the cache. */
export interface StoredFile extends Received {
  readonly key: string;
  /** Where it can be opened: a path in Node, the key in browsers. */
  readonly location: string;
}

/** An entry of the cache. */
export interface StoredEntry {
  readonly key: string;
  /** Bytes on the disk. */
  readonly size: number;
  readonly complete: boolean;
}

/** An unfinished download that the store keeps. */
export interface StoredPart extends PartFile {
  /** It is complete and right: from now on it is found. Replaces what was stored before. */
  finish(received: Received): Promise<StoredFile>;
  /** Lets go of it; what is there stays for the next time. */
  release(): Promise<void>;
}

/** A cache of files. Keys are plain paths with `/`. */
export interface HubStore {
  find(key: string): Promise<StoredFile | null>;
  /** Takes what there is of an unfinished download, or an empty one. Two that ask at once get two. */
  openPart(key: string): Promise<StoredPart>;
  /** Keeps a short text, such as a list of files. */
  remember(key: string, text: string): Promise<void>;
  recall(key: string): Promise<string | null>;
  list(): Promise<StoredEntry[]>;
  /** Deletes a file, and an unfinished download of it that nobody has open. */
  remove(key: string): Promise<void>;
}

/** How far a download is. */
export interface PullProgress {
  readonly path: string;
  /** The file's number, from 1, and how many there are to download. */
  readonly file: number;
  readonly files: number;
  /** Bytes. */
  readonly received: number;
  readonly total: number | undefined;
  readonly bytesPerSecond: number;
  readonly secondsLeft: number | undefined;
}

/** What a pull needs. */
export interface PullOptions {
  readonly store: HubStore;
  readonly connection: Connection;
  readonly hasher: () => Hasher;
  readonly models?: readonly PublishedModel[];
  readonly revision?: string;
  readonly files?: readonly string[];
  /** Takes what the cache has, and asks no server. */
  readonly offline?: boolean;
  /** Downloads anew what the cache has. */
  readonly force?: boolean;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Told what the user should know. */
  readonly onNote?: (note: string) => void;
}

/** A file that was pulled. */
export interface PulledFile extends StoredFile {
  readonly path: string;
  /** Whether it was there already. */
  readonly cached: boolean;
}

/**
 * Makes the files of published weights available.
 *
 * @param name A short name of the manifest, or `org/repo[@revision][/file]`.
 * @throws InputError if there is nothing of that name, or the server refuses, or a file is needed offline that is not cached.
 * @throws NetworkError if a server cannot be reached; what has arrived is kept and continued the next time.
 * @throws CheckpointError if what comes is not the file.
 */
export async function pull(name: string, options: PullOptions): Promise<PulledFile[]> {
  const { store, connection, force = false } = options;
  const target = findTarget(name, { endpoint: connection.endpoint, models: options.models ?? PUBLISHED, revision: options.revision, files: options.files });
  const { files, trusted, reachable, listed = false } = await filesOf(target, options);
  const pulled = new Map<string, PulledFile>();
  const missing: HubFile[] = [];
  for (const file of files) {
    const stored = force && reachable ? null : await store.find(file.key);
    if (stored !== null && isCurrent(stored, file, trusted)) pulled.set(file.key, { ...stored, path: file.path, cached: true });
    else missing.push(file);
  }
  if (missing.length > 0 && !reachable) throw notCached(target, missing.map(({ path }) => path).join(", "));
  for (const [i, file] of missing.entries()) {
    const speed = new Speed();
    const report = (received: number, total: number | undefined): void => {
      const bytesPerSecond = speed.measure(received);
      const secondsLeft = total === undefined || bytesPerSecond === 0 ? undefined : (total - received) / bytesPerSecond;
      options.onProgress?.({ path: file.path, file: i + 1, files: missing.length, received, total, bytesPerSecond, secondsLeft });
    };
    const stored = await fetchFile(file, target, report, options);
    pulled.set(file.key, { ...stored, path: file.path, cached: false });
  }
  // Only now: a list of files that are not there yet would hide those of an earlier pull from offline use.
  if (listed) await store.remember(target.place, JSON.stringify(files));
  return files.map(({ key }) => pulled.get(key)!);
}

async function fetchFile(file: HubFile, target: Target, onBytes: (received: number, total: number | undefined) => void, { store, connection, hasher, force }: PullOptions): Promise<StoredFile> {
  const part = await store.openPart(file.key);
  try {
    if (force === true) await part.restart({});
    return await part.finish(await download(file, part, { connection, hasher, target, onBytes }));
  } catch (error) {
    await part.release();
    throw error;
  }
}

/** A target's files, and whether cached ones of the same name are right as they are: offline there is no way to know better. */
interface FileList {
  readonly files: readonly HubFile[];
  readonly trusted: boolean;
  readonly reachable: boolean;
  /** Whether the server was asked for the list. */
  readonly listed?: boolean;
}

async function filesOf(target: Target, { store, connection, offline = false, onNote }: PullOptions): Promise<FileList> {
  const { repo, moving } = target;
  if (offline || !moving) {
    const files = target.files ?? (await recallFiles(target, store));
    if (files !== null) return { files, trusted: true, reachable: !offline };
    if (offline) throw notCached(target, "its files");
  }
  try {
    if (target.files !== null) return { files: await Promise.all(target.files.map((file) => probeFile(file, target, connection))), trusted: false, reachable: true };
    return { files: await listFiles({ ...target, repo: repo! }, connection), trusted: !moving, reachable: true, listed: true };
  } catch (error) {
    const files = error instanceof NetworkError ? (target.files ?? (await recallFiles(target, store))) : null;
    if (files === null) throw error;
    onNote?.(`${(error as Error).message}: using what the cache has of ${target.name}`);
    return { files, trusted: true, reachable: false };
  }
}

/** The list of files that an earlier pull saw. */
async function recallFiles(target: Target, store: HubStore): Promise<HubFile[] | null> {
  try {
    const files = JSON.parse((await store.recall(target.place)) ?? "null") as HubFile[] | null;
    return files?.map((file) => fileOf(target, file)) ?? null;
  } catch {
    return null; // damaged: as good as none
  }
}

function notCached({ name }: Target, what: string): InputError {
  return new InputError(`${name}: ${what} must be in the cache to be used offline; got nothing`, `pull it once with a network: sightline pull ${name}`);
}

/** Whether a stored file is the one that is asked for. */
function isCurrent(stored: StoredFile, file: HubFile, isTrusted: boolean): boolean {
  if (file.size !== undefined && file.size !== stored.size) return false;
  if (file.sha256 !== undefined) return file.sha256 === stored.sha256;
  if (!stored.sha256.startsWith(file.sha256Prefix ?? "")) return false;
  return isTrusted || (file.version !== undefined && file.version === stored.version);
}

const SPEED_SECONDS = 5; // over which the speed is measured

/** Bytes a second of late: what has been there before the first measurement does not count. */
class Speed {
  private readonly marks: { readonly seconds: number; readonly bytes: number }[] = [];

  measure(bytes: number): number {
    const seconds = performance.now() / 1000;
    const last = this.marks.at(-1);
    if (last !== undefined && bytes < last.bytes) this.marks.length = 0; // begun anew
    if (last === undefined || seconds - last.seconds >= 0.1) this.marks.push({ seconds, bytes });
    while (this.marks.length > 1 && seconds - this.marks[0].seconds > SPEED_SECONDS) this.marks.shift();
    const first = this.marks.at(0);
    return first === undefined || seconds === first.seconds ? 0 : (bytes - first.bytes) / (seconds - first.seconds);
  }
}
