import { randomBytes } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { FeatureStore } from "../caption/features.ts";
import { attempt, openSafetensors, saveSafetensors } from "../checkpoint/files.ts";
import { cacheFolder } from "../checkpoint/hub/files.ts";
import type { CheckpointReader } from "../checkpoint/reader.ts";
import { SightlineError } from "../core/errors.ts";
import type { HostTensor } from "../core/host-tensor.ts";
import { note } from "./terminal.ts";

/** Bytes of a file of features: after so many are there, an interrupted run loses nothing of them. */
const SHARD_BYTES = 64 * 2 ** 20;

/** Bytes of features that stay in memory; what is beyond is read when it is asked for. */
const KEPT_BYTES = 512 * 2 ** 20;

/**
 * What a frozen vision network made of pictures, in files: a folder for each network and preprocessing, in it safetensors files
 * whose tensors are named after a picture's pixels and their place among its features.
 */
export class FeatureFiles implements FeatureStore {
  private readonly folder: string;
  private readonly readers: CheckpointReader[] = [];
  private readonly stored = new Map<string, CheckpointReader>();
  private readonly kept = new Map<string, readonly HostTensor[]>();
  private readonly pending = new Map<string, readonly HostTensor[]>();
  private pendingBytes = 0;
  private keptBytes = 0;
  private files = 0;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * @param root Default: `features` in the user's folder for caches.
   * @param key Of network and preprocessing.
   * @throws InputError if the folder cannot be read or made. Damaged files are named and left out.
   */
  static async open(root: string | undefined, key: string): Promise<FeatureFiles> {
    const folder = join(root ?? join(dirname(cacheFolder()), "features"), key);
    await attempt("write", folder, mkdir(folder, { recursive: true }));
    const store = new FeatureFiles(folder);
    const names = (await attempt("read", folder, readdir(folder))).filter((name) => /^\d{5}-[0-9a-f]{8}\.safetensors$/.test(name)).sort();
    for (const name of names) {
      store.files = Math.max(store.files, Number(name.slice(0, 5)) + 1);
      try {
        await store.addFile(join(folder, name));
      } catch (error) {
        if (!(error instanceof SightlineError)) throw error;
        note(`note: features are computed again where ${error.message}`);
      }
    }
    return store;
  }

  has(key: string): boolean {
    return this.stored.has(key) || this.pending.has(key);
  }

  async read(key: string): Promise<readonly HostTensor[]> {
    const known = this.pending.get(key) ?? this.kept.get(key);
    if (known !== undefined) return known;
    const reader = this.stored.get(key)!;
    const features: HostTensor[] = [];
    for (let i = 0; reader.tensors.has(`${key}.${i}`); i++) features.push(await reader.read(`${key}.${i}`));
    const bytes = bytesOf(features);
    if (this.keptBytes + bytes <= KEPT_BYTES) {
      this.kept.set(key, features);
      this.keptBytes += bytes;
    }
    return features;
  }

  async write(key: string, features: readonly HostTensor[]): Promise<void> {
    this.pending.set(key, features);
    this.pendingBytes += bytesOf(features);
    if (this.pendingBytes >= SHARD_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.pending.size === 0) return;
    const tensors = [...this.pending].flatMap(([key, features]) => features.map((tensor, i) => [`${key}.${i}`, tensor] as const));
    const ownName = randomBytes(4).toString("hex"); // another run may be writing to the same folder
    const path = join(this.folder, `${String(this.files++).padStart(5, "0")}-${ownName}.safetensors`);
    await saveSafetensors(path, tensors);
    this.pending.clear();
    this.pendingBytes = 0;
    await this.addFile(path);
  }

  async close(): Promise<void> {
    await this.flush();
    for (const reader of this.readers) await reader.close();
  }

  private async addFile(path: string): Promise<void> {
    const reader = await openSafetensors(path);
    this.readers.push(reader);
    for (const name of reader.tensors.keys()) if (name.endsWith(".0")) this.stored.set(name.slice(0, -2), reader);
  }
}

function bytesOf(features: readonly HostTensor[]): number {
  return features.reduce((sum, { data }) => sum + data.byteLength, 0);
}
