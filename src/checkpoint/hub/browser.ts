/**
 * The cache of published weights in a browser: the origin's private file system (OPFS). Two other places were weighed: the Cache API
 * drops a body that is not complete, so that nothing could be continued after a reload, and IndexedDB copies what it stores.
 *
 * A file is stored as segments, each written whole: what a reload interrupts is at most one of them, and no large file is ever copied.
 * `<key>/<generation>/` holds the segments `0`, `1`, … and `origin.json`, and `record.json` once the file is complete.
 */

import { InputError } from "../../core/errors.ts";
import { Sha256 } from "../../core/sha256.ts";
import { attempt, foldersIn, ifThere, openStorage, readJson, readText, takeLock, writeWhole } from "../browser-files.ts";
import type { Origin, Received } from "./download.ts";
import { DEFAULT_ENDPOINT, parseEndpoint, parseToken } from "./names.ts";
import type { HubStore, PullOptions, StoredEntry, StoredFile, StoredPart } from "./pull.ts";
import type { ByteSource } from "../reader.ts";

const SEGMENT_BYTES = 2 ** 23; // what a reload costs at most, and what waits in memory
const LISTING = "listing.json";
const ORIGIN = "origin.json";
const RECORD = "record.json";

/** The segments of a generation, in order. A later one without an earlier one is of no use. */
async function segmentsOf(generation: FileSystemDirectoryHandle): Promise<File[]> {
  const segments: File[] = [];
  for (;;) {
    const handle = await ifThere(generation.getFileHandle(String(segments.length)));
    if (handle === null) return segments;
    segments.push(await handle.getFile());
  }
}

/** Files in the origin's private file system. */
export class BrowserStore implements HubStore {
  private readonly folder: string;
  private readonly segmentBytes: number;

  constructor({ folder = "sightline-hub", segmentBytes = SEGMENT_BYTES }: { readonly folder?: string; readonly segmentBytes?: number } = {}) {
    this.folder = folder;
    this.segmentBytes = segmentBytes;
  }

  async find(key: string): Promise<StoredFile | null> {
    return (await this.complete(key))?.file ?? null;
  }

  /** A stored file's bytes, read from the disk as they are asked for; null if it is not there. */
  async open(key: string): Promise<ByteSource | null> {
    const found = await this.complete(key);
    if (found === null) return null;
    const whole = new Blob([...found.segments]);
    return { size: whole.size, read: async (begin, end) => new Uint8Array(await whole.slice(begin, end).arrayBuffer()), close: async () => undefined };
  }

  async openPart(key: string): Promise<StoredPart> {
    const folder = await attempt(this.folderOf(key, true));
    for (const generation of await foldersIn(folder)) {
      if ((await readText(generation, RECORD)) !== null) continue;
      const release = await takeLock(this.lockOf(key, generation.name));
      if (release !== null) return SegmentedPart.open(key, folder!, generation, release, this.segmentBytes);
    }
    const name = crypto.randomUUID();
    const release = await takeLock(this.lockOf(key, name));
    const generation = await attempt(folder!.getDirectoryHandle(name, { create: true }));
    return SegmentedPart.open(key, folder!, generation, release!, this.segmentBytes);
  }

  async remember(key: string, text: string): Promise<void> {
    const folder = await attempt(this.folderOf(key, true));
    await attempt(writeWhole(folder!, LISTING, text));
  }

  async recall(key: string): Promise<string | null> {
    const folder = await this.folderOf(key, false);
    return folder === null ? null : readText(folder, LISTING);
  }

  async list(): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    for (const folder of await foldersIn(await this.root())) {
      for (const generation of await foldersIn(folder)) {
        const size = (await segmentsOf(generation)).reduce((sum, segment) => sum + segment.size, 0);
        found.push({ key: decodeURIComponent(folder.name), size, complete: (await readText(generation, RECORD)) !== null });
      }
    }
    return found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** @throws InputError if another page is downloading it. */
  async remove(key: string): Promise<void> {
    const folder = await this.folderOf(key, false);
    for (const generation of await foldersIn(folder)) {
      const release = await takeLock(this.lockOf(key, generation.name));
      if (release === null) throw new InputError(`${key} must be at rest to be deleted; got a download that is under way, in this tab or in another one`, "cancel it there first");
      await folder!.removeEntry(generation.name, { recursive: true }).finally(release);
    }
  }

  private async complete(key: string): Promise<{ readonly file: StoredFile; readonly segments: readonly File[] } | null> {
    for (const generation of await foldersIn(await this.folderOf(key, false))) {
      const { size, sha256, version } = await readJson(generation, RECORD);
      if (typeof size !== "number" || typeof sha256 !== "string") continue;
      const segments = await segmentsOf(generation);
      if (segments.reduce((sum, segment) => sum + segment.size, 0) !== size) continue;
      return { file: { key, location: key, size, sha256, version: typeof version === "string" ? version : undefined }, segments };
    }
    return null;
  }

  private async root(): Promise<FileSystemDirectoryHandle> {
    return openStorage(this.folder);
  }

  private async folderOf(key: string, create: boolean): Promise<FileSystemDirectoryHandle | null> {
    const root = await this.root();
    return ifThere(root.getDirectoryHandle(encodeURIComponent(key), { create }));
  }

  private lockOf(key: string, generation: string): string {
    return `${this.folder}/${key}/${generation}`;
  }
}

/** An unfinished download: segments on the disk, and the bytes of the next one in memory. */
class SegmentedPart implements StoredPart {
  private readonly key: string;
  private readonly folder: FileSystemDirectoryHandle;
  private readonly generation: FileSystemDirectoryHandle;
  private readonly unlock: () => void;
  private readonly buffer: Uint8Array<ArrayBuffer>;
  private filled = 0; // bytes that wait in `buffer`
  private segments = 0;
  private written = 0; // bytes in segments
  private held: Origin = {};

  private constructor(key: string, folder: FileSystemDirectoryHandle, generation: FileSystemDirectoryHandle, unlock: () => void, segmentBytes: number) {
    this.key = key;
    this.folder = folder;
    this.generation = generation;
    this.unlock = unlock;
    this.buffer = new Uint8Array(segmentBytes);
  }

  static async open(key: string, folder: FileSystemDirectoryHandle, generation: FileSystemDirectoryHandle, unlock: () => void, segmentBytes: number): Promise<SegmentedPart> {
    const part = new SegmentedPart(key, folder, generation, unlock, segmentBytes);
    const segments = await segmentsOf(generation);
    const { etag, sha256 } = await readJson(generation, ORIGIN);
    part.segments = segments.length;
    part.written = segments.reduce((sum, segment) => sum + segment.size, 0);
    part.held = { ...(typeof etag === "string" && { etag }), ...(typeof sha256 === "string" && { sha256 }) };
    return part;
  }

  get length(): number {
    return this.written + this.filled;
  }

  get origin(): Origin {
    return this.held;
  }

  async restart({ etag, sha256 }: Origin): Promise<void> {
    // From the last to the first: a reload in between leaves a beginning, never a gap.
    while (this.segments > 0) await this.generation.removeEntry(String(--this.segments));
    this.written = 0;
    this.filled = 0;
    this.held = { etag, sha256 };
    await attempt(writeWhole(this.generation, ORIGIN, JSON.stringify(this.held)));
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let taken = 0; taken < bytes.length; ) {
      const piece = bytes.subarray(taken, taken + this.buffer.length - this.filled);
      this.buffer.set(piece, this.filled);
      taken += piece.length;
      this.filled += piece.length;
      if (this.filled === this.buffer.length) await this.flush();
    }
  }

  async *content(): AsyncGenerator<Uint8Array> {
    for (const segment of await segmentsOf(this.generation)) yield new Uint8Array(await segment.arrayBuffer());
  }

  async finish(received: Received): Promise<StoredFile> {
    await this.flush();
    await attempt(writeWhole(this.generation, RECORD, JSON.stringify(received)));
    for (const other of await foldersIn(this.folder)) {
      if (other.name !== this.generation.name && (await readText(other, RECORD)) !== null) await this.folder.removeEntry(other.name, { recursive: true });
    }
    this.unlock();
    return { key: this.key, location: this.key, ...received };
  }

  async release(): Promise<void> {
    try {
      await this.flush();
      if (this.length === 0) await this.folder.removeEntry(this.generation.name, { recursive: true });
    } catch {
      // What could not be kept is downloaded again; the error that led here is the one to report.
    } finally {
      this.unlock();
    }
  }

  private async flush(): Promise<void> {
    if (this.filled === 0) return;
    await attempt(writeWhole(this.generation, String(this.segments), this.buffer.subarray(0, this.filled)));
    this.segments++;
    this.written += this.filled;
    this.filled = 0;
  }
}

/** What a page can set for the hub. */
export interface BrowserHubSettings {
  /** A mirror of the Hugging Face hub. */
  readonly endpoint?: string;
  readonly token?: string;
  readonly signal?: AbortSignal;
  readonly store?: BrowserStore;
}

/** A pull's options in a browser. @throws InputError if the endpoint is no web address, or the token no word. */
export function browserHubOptions({ endpoint = DEFAULT_ENDPOINT, token, signal, store = new BrowserStore() }: BrowserHubSettings = {}): PullOptions {
  return { store, connection: { endpoint: parseEndpoint(endpoint), token: parseToken(token), signal, redirects: "by the browser" }, hasher: () => new Sha256() };
}
