import type { DataChoice } from "../../caption/data-choice.ts";
import type { Recipe } from "../../caption/recipe.ts";
import { parseMetrics, showMetrics, type MetricsLine } from "../../caption/run-log.ts";
import { attempt, foldersIn, ifThere, openStorage, readJson, readText, takeLock, writeWhole } from "../../checkpoint/browser-files.ts";
import { dateStamp } from "../../core/format.ts";
import { InputError } from "../../core/errors.ts";
import type { ListedFile } from "../../data/file-list.ts";
import type { CheckpointKind, RunSummary } from "./service.ts";

const ROOT = "runs";
const RECORD = "run.json";
const METRICS = "metrics.jsonl";
/** Own pictures and their captions; the command line looks for them under the same name. */
const PICTURES = "pictures";
const KINDS: readonly CheckpointKind[] = ["best", "last"];

/** What `run.json` says: all that a run needs before its first checkpoint, and how far it has come. */
export interface RunRecord {
  readonly name: string;
  readonly created: number;
  /** What it learns from, in a few words. */
  readonly about: string;
  readonly recipe: Recipe;
  readonly choice: DataChoice;
  /** Paths of own pictures and captions; each is kept under its number here, since not every name is one for a file. */
  readonly files: readonly string[];
  readonly step: number;
  readonly steps: number;
  readonly bestLoss: number | null;
  readonly complete: boolean;
}

/** Runs in the origin's private file system: `runs/<name>/` holds the files that the command line has in a run's folder. */
export class RunStore {
  private readonly folder: FileSystemDirectoryHandle;

  private constructor(folder: FileSystemDirectoryHandle) {
    this.folder = folder;
  }

  /** @throws InputError if the browser lets this page keep no files. */
  static async open(): Promise<RunStore> {
    return new RunStore(await openStorage(ROOT));
  }

  /**
   * Takes a run for this tab alone, until the release is called or the tab is closed.
   * @throws InputError if another tab has it.
   */
  async take(name: string): Promise<() => void> {
    const release = await takeLock(lockOf(name));
    if (release === null) throw new InputError(`${name} must be free; got a run that is being trained, in this tab or in another one`, "pause it there first");
    return release;
  }

  /** Makes a run's folder with all that is known of it. @param checkpoint Of a run from elsewhere. */
  async create(run: Omit<RunRecord, "name" | "created" | "files" | "complete">, pictures: readonly ListedFile[], checkpoint?: Blob): Promise<string> {
    const name = await this.freeName(`${run.recipe.system}-${dateStamp(new Date())}`);
    const release = await this.take(name);
    try {
      const folder = await attempt(this.folder.getDirectoryHandle(name, { create: true }));
      if (pictures.length > 0) {
        const inside = await attempt(folder.getDirectoryHandle(PICTURES, { create: true }));
        for (const [i, { content }] of pictures.entries()) await attempt(writeWhole(inside, String(i), content));
      }
      if (checkpoint !== undefined) await attempt(writeWhole(folder, fileOf("last"), checkpoint));
      await this.write(name, { ...run, name, created: Date.now(), files: pictures.map(({ path }) => path), complete: false }); // last: without it there is no run
      return name;
    } catch (error) {
      await this.folder.removeEntry(name, { recursive: true }).catch(() => undefined); // the first error is the one to report
      throw error;
    } finally {
      release();
    }
  }

  async write(name: string, record: RunRecord): Promise<void> {
    await attempt(writeWhole(await this.folderOf(name), RECORD, JSON.stringify(record)));
  }

  /** @throws InputError if there is no such run. */
  async read(name: string): Promise<RunRecord> {
    const record = await readJson(await this.folderOf(name), RECORD);
    if (record.name === name) return record as unknown as RunRecord;
    throw new InputError(`${name} must be a run with its ${RECORD}; got a folder without it`, "delete the run");
  }

  /** Replaces a checkpoint: at every moment there is the whole old one or the whole new one. */
  async writeCheckpoint(name: string, kind: CheckpointKind, chunks: readonly Uint8Array[]): Promise<void> {
    await attempt(writeWhole(await this.folderOf(name), fileOf(kind), new Blob(chunks as Uint8Array<ArrayBuffer>[])));
  }

  /** Null where the run has none yet. */
  async checkpoint(name: string, kind: CheckpointKind): Promise<File | null> {
    return fileIn(await this.folderOf(name), fileOf(kind));
  }

  async writeMetrics(name: string, lines: readonly MetricsLine[]): Promise<void> {
    await attempt(writeWhole(await this.folderOf(name), METRICS, showMetrics(lines)));
  }

  async metrics(name: string): Promise<MetricsLine[]> {
    return parseMetrics((await readText(await this.folderOf(name), METRICS)) ?? "");
  }

  /** Own pictures and captions, as they were given. */
  async pictures(name: string): Promise<ListedFile[]> {
    const { files } = await this.read(name);
    const folder = await ifThere((await this.folderOf(name)).getDirectoryHandle(PICTURES));
    const found = folder === null ? [] : await Promise.all(files.map(async (path, i) => listed(path, await fileIn(folder, String(i)))));
    return found.flat();
  }

  /** All files of a run, under a folder of its name. */
  async files(name: string): Promise<ListedFile[]> {
    const folder = await this.folderOf(name);
    const own = await Promise.all([...KINDS.map(fileOf), METRICS].map(async (file) => listed(`${name}/${file}`, await fileIn(folder, file))));
    const pictures = (await this.pictures(name)).map(({ path, content }) => ({ path: `${name}/${PICTURES}/${path}`, content }));
    return [...own.flat(), ...pictures];
  }

  /** The newest first. What a closed tab left of a run that never came to be is removed. */
  async list(): Promise<RunSummary[]> {
    const folders = await foldersIn(this.folder);
    const { held = [] } = await navigator.locks.query(); // after the folders: whatever another tab makes right now is locked before its folder is there
    const taken = new Set(held.map(({ name }) => name));
    const runs: RunSummary[] = [];
    for (const folder of folders) {
      const atWork = taken.has(lockOf(folder.name));
      const record = await readJson(folder, RECORD);
      if (record.name === folder.name) runs.push(await summaryOf(folder, record as unknown as RunRecord, atWork));
      else if (!atWork) await this.folder.removeEntry(folder.name, { recursive: true }).catch(() => undefined);
    }
    return runs.toSorted((a, b) => b.created - a.created);
  }

  /** @throws InputError if the run is being trained. */
  async remove(name: string): Promise<void> {
    const release = await this.take(name);
    try {
      await this.folder.removeEntry(name, { recursive: true });
    } finally {
      release();
    }
  }

  private async folderOf(name: string): Promise<FileSystemDirectoryHandle> {
    const folder = await ifThere(this.folder.getDirectoryHandle(name));
    if (folder === null) throw new InputError(`${name} must be a run that is kept here; got none of that name`, "it was deleted; start a new one");
    return folder;
  }

  private async freeName(wanted: string): Promise<string> {
    const names = new Set((await foldersIn(this.folder)).map(({ name }) => name));
    for (let name = wanted, i = 2; ; name = `${wanted}-${i++}`) if (!names.has(name)) return name;
  }
}

export function summaryFrom(record: RunRecord, rest: Pick<RunSummary, "atWork" | "checkpoints" | "bytes">): RunSummary {
  const { name, recipe, about, created, step, steps, bestLoss, complete } = record;
  return { name, system: recipe.system, size: recipe.size, about, created, step, steps, bestLoss, complete, ...rest };
}

async function summaryOf(folder: FileSystemDirectoryHandle, record: RunRecord, atWork: boolean): Promise<RunSummary> {
  const checkpoints: CheckpointKind[] = [];
  for (const kind of KINDS) if ((await ifThere(folder.getFileHandle(fileOf(kind)))) !== null) checkpoints.push(kind);
  return summaryFrom(record, { atWork, checkpoints, bytes: await bytesIn(folder) });
}

async function bytesIn(folder: FileSystemDirectoryHandle): Promise<number> {
  let bytes = 0;
  for await (const handle of folder.values()) {
    bytes += handle.kind === "directory" ? await bytesIn(handle as FileSystemDirectoryHandle) : (await (handle as FileSystemFileHandle).getFile()).size;
  }
  return bytes;
}

async function fileIn(folder: FileSystemDirectoryHandle, name: string): Promise<File | null> {
  const handle = await ifThere(folder.getFileHandle(name));
  return handle === null ? null : handle.getFile();
}

/** A file under a path; nothing where it is not there. */
function listed(path: string, content: File | null): ListedFile[] {
  return content === null ? [] : [{ path, content }];
}

function fileOf(kind: CheckpointKind): string {
  return `${kind}.safetensors`;
}

function lockOf(name: string): string {
  return `${ROOT}/${name}`;
}
