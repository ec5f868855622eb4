/** The cache of published weights on disk (Node only), and what the environment says about the hub. */

import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { homedir, hostname } from "node:os";
import { basename, dirname, join, sep } from "node:path";
import { InputError } from "../../core/errors.ts";
import type { Hasher } from "../../core/sha256.ts";
import { attempt, isAlive, writeFileAtomically } from "../files.ts";
import type { Origin, Received } from "./download.ts";
import { weightsAmong } from "./listing.ts";
import { DEFAULT_ENDPOINT, parseEndpoint, parseToken } from "./names.ts";
import type { Connection } from "./request.ts";
import { pull, type HubStore, type PullOptions, type StoredEntry, type StoredFile, type StoredPart } from "./pull.ts";

const ABANDONED_HOURS = 1; // after which an unfinished download that nobody writes to may be taken, whoever began it
const PART = ".part";
const PART_NAME = /^\.([^~]+)(?:~(.+)-(\d+)-[0-9a-f]{8})?\.part$/; // file; host and process, while one works on it
const RECORD = ".json";
const LISTING = ".listing";

/** Beside `model.safetensors` lie `.model.safetensors.json`, what is known of it, and while it comes `.model.safetensors.part/`. */
function beside(path: string, suffix: string): string {
  return join(dirname(path), `.${basename(path)}${suffix}`);
}

/** A value that a file holds as JSON; null where there is none, or a damaged one. */
async function readJson(path: string): Promise<Readonly<Record<string, unknown>> | null> {
  try {
    const value: unknown = JSON.parse(await readFile(path, "utf8"));
    return typeof value === "object" ? (value as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return null;
  }
}

/** Files under a folder, each where its key says. */
export class FileStore implements HubStore {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  async find(key: string): Promise<StoredFile | null> {
    const path = this.pathOf(key);
    const [record, stats] = await Promise.all([readJson(beside(path, RECORD)), stat(path).catch(() => null)]);
    if (record === null || stats === null || !stats.isFile()) return null;
    const { size, sha256, version } = record;
    if (size !== stats.size || typeof sha256 !== "string") return null; // cut, or changed by someone
    return { key, location: path, size, sha256, version: typeof version === "string" ? version : undefined };
  }

  async openPart(key: string): Promise<StoredPart> {
    const path = this.pathOf(key);
    await attempt("write", dirname(path), mkdir(dirname(path), { recursive: true }));
    const folder = beside(path, `~${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}${PART}`);
    // Renaming is how a part is taken: of two that try, one succeeds.
    let taken = false;
    for (const free of await freeParts(path)) {
      if (taken) await rm(free, { recursive: true, force: true }).catch(() => undefined);
      else taken = await rename(free, folder).then(() => true, () => false);
    }
    if (!taken) await attempt("write", path, mkdir(folder));
    return FilePart.open(key, path, folder);
  }

  async remember(key: string, text: string): Promise<void> {
    const path = join(this.pathOf(key), LISTING);
    await attempt("write", dirname(path), mkdir(dirname(path), { recursive: true }));
    await writeFileAtomically(path, [new TextEncoder().encode(text)]);
  }

  async recall(key: string): Promise<string | null> {
    return readFile(join(this.pathOf(key), LISTING), "utf8").catch(() => null);
  }

  async list(): Promise<StoredEntry[]> {
    const found: StoredEntry[] = [];
    for (const path of await readdir(this.root, { recursive: true }).catch(() => [])) {
      const part = PART_NAME.exec(basename(path));
      const name = (part ?? /^\.(.+)\.json$/.exec(basename(path)))?.[1];
      if (name === undefined) continue;
      const key = join(dirname(path), name).split(sep).join("/");
      const size = part === null ? (await this.find(key))?.size : await sizeOf(join(this.root, path, "data"));
      if (size !== undefined) found.push({ key, size, complete: part === null });
    }
    return found.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  }

  async remove(key: string): Promise<void> {
    const path = this.pathOf(key);
    for (const each of [beside(path, RECORD), path, ...(await freeParts(path))]) await attempt("write", each, rm(each, { force: true, recursive: true }));
  }

  private pathOf(key: string): string {
    return join(this.root, ...key.split("/"));
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(({ size }) => size, () => 0);
}

/** Unfinished downloads of a file that nobody works on, the longest first: let go of, or of a process that is gone. */
async function freeParts(path: string): Promise<string[]> {
  const folder = dirname(path);
  const found: { part: string; size: number }[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const [, file, host, pid] = PART_NAME.exec(name) ?? [];
    if (file !== basename(path)) continue;
    const part = join(folder, name);
    const data = await stat(join(part, "data")).catch(() => null);
    const isGone = host === hostname() && !isAlive(Number(pid));
    const isOld = data !== null && Date.now() - data.mtimeMs > ABANDONED_HOURS * 3_600_000;
    if (pid === undefined || isGone || isOld) found.push({ part, size: data?.size ?? 0 });
  }
  return found.toSorted((a, b) => b.size - a.size).map(({ part }) => part);
}

/** A folder with the bytes (`data`) and what they belong to (`origin.json`). */
class FilePart implements StoredPart {
  private readonly key: string;
  private readonly path: string;
  private readonly folder: string;
  private readonly handle: FileHandle;
  private held: { length: number; origin: Origin };

  private constructor(key: string, path: string, folder: string, handle: FileHandle, held: { length: number; origin: Origin }) {
    this.key = key;
    this.path = path;
    this.folder = folder;
    this.handle = handle;
    this.held = held;
  }

  static async open(key: string, path: string, folder: string): Promise<FilePart> {
    const data = join(folder, "data");
    const handle = await attempt("write", data, open(data, "a"));
    const { etag, sha256 } = (await readJson(join(folder, "origin.json"))) ?? {};
    const origin = { ...(typeof etag === "string" && { etag }), ...(typeof sha256 === "string" && { sha256 }) };
    return new FilePart(key, path, folder, handle, { length: (await handle.stat()).size, origin });
  }

  get length(): number {
    return this.held.length;
  }

  get origin(): Origin {
    return this.held.origin;
  }

  async restart({ etag, sha256 }: Origin): Promise<void> {
    // The bytes go first: were the process killed between the two, old bytes must not look like those of the new file.
    await attempt("write", this.path, this.handle.truncate(0));
    await attempt("write", this.path, writeFile(join(this.folder, "origin.json"), JSON.stringify({ etag, sha256 })));
    this.held = { length: 0, origin: { etag, sha256 } };
  }

  async append(bytes: Uint8Array): Promise<void> {
    await attempt("write", this.path, this.handle.appendFile(bytes));
    this.held.length += bytes.length;
  }

  async *content(): AsyncGenerator<Uint8Array> {
    if (this.length > 0) yield* createReadStream(join(this.folder, "data"), { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>;
  }

  async finish(received: Received): Promise<StoredFile> {
    await attempt("write", this.path, this.handle.sync());
    await this.handle.close();
    // An old record must not vouch for the new file.
    await attempt("write", this.path, rm(beside(this.path, RECORD), { force: true }));
    await attempt("write", this.path, rename(join(this.folder, "data"), this.path));
    await writeFileAtomically(beside(this.path, RECORD), [new TextEncoder().encode(`${JSON.stringify(received)}\n`)]);
    await rm(this.folder, { recursive: true, force: true });
    return { key: this.key, location: this.path, ...received };
  }

  async release(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    const free = beside(this.path, PART);
    const other = await sizeOf(join(free, "data"));
    if (this.length > other) {
      await rm(free, { recursive: true, force: true }).catch(() => undefined);
      await rename(this.folder, free).catch(() => undefined); // under its present name it is found as well, later
    } else await rm(this.folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Where files are kept: `$SIGHTLINE_HOME/hub`, else the platform's folder for caches. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>> = process.env): string {
  const { SIGHTLINE_HOME, XDG_CACHE_HOME, LOCALAPPDATA } = environment;
  if (SIGHTLINE_HOME) return join(SIGHTLINE_HOME, "hub");
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches", "sightline", "hub");
  if (process.platform === "win32" && LOCALAPPDATA) return join(LOCALAPPDATA, "sightline", "hub");
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "sightline", "hub");
}

/** What the user can set for the hub. */
export interface HubSettings {
  readonly endpoint?: string;
  readonly cache?: string;
  readonly offline?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * A pull's options from the environment: `HF_ENDPOINT`, `HF_TOKEN`, `SIGHTLINE_HOME`, `SIGHTLINE_OFFLINE`.
 * @throws InputError if the endpoint is no web address, or the token no word.
 */
export function hubOptions(settings: HubSettings = {}): PullOptions {
  const { HF_ENDPOINT, HF_TOKEN, SIGHTLINE_OFFLINE = "" } = process.env;
  const connection: Connection = {
    endpoint: parseEndpoint(settings.endpoint ?? (HF_ENDPOINT || DEFAULT_ENDPOINT)),
    token: parseToken(HF_TOKEN),
    signal: settings.signal,
    redirects: "by hand",
  };
  const offline = settings.offline ?? !["", "0", "false", "no"].includes(SIGHTLINE_OFFLINE.toLowerCase());
  return { store: new FileStore(settings.cache ?? cacheFolder()), connection, hasher: nodeHasher, offline };
}

function nodeHasher(): Hasher {
  const hash = createHash("sha256");
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest("hex") };
}

/**
 * The path of weights that a user names: of a file or folder that is there, or of pulled weights (the file itself, or the index of its
 * shards; their other files lie beside it). Never downloads anything.
 * @throws InputError if there is no such file, and nothing of that name was pulled.
 */
export async function resolveModel(nameOrPath: string, settings: HubSettings = {}): Promise<string> {
  if ((await stat(nameOrPath).catch(() => null)) !== null) return nameOrPath;
  const files = await pull(nameOrPath, { ...hubOptions(settings), offline: true }).catch((cause: unknown) => {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`${nameOrPath} must be a path, or a name of weights that were pulled; got nothing of that name`, cause.hint, { cause });
  });
  const weights = weightsAmong(files.map(({ path }) => path));
  return (files.find(({ path }) => path === weights) ?? files[0]).location;
}
