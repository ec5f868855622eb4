import { FileStore, hubOptions } from "../checkpoint/hub/files.ts";
import { findTarget } from "../checkpoint/hub/names.ts";
import { pull, type PulledFile, type PullProgress, type StoredEntry } from "../checkpoint/hub/pull.ts";
import { PUBLISHED, type PublishedModel } from "../checkpoint/hub/manifest.ts";
import { InputError } from "../core/errors.ts";
import { counted, duration, byteSize, table } from "../core/format.ts";
import { Interruption, STOPPED } from "./interruption.ts";
import { Progress } from "./progress.ts";
import { note, print } from "./terminal.ts";

export interface PullVerbOptions {
  readonly revision?: string;
  readonly file?: readonly string[];
  readonly endpoint?: string;
  readonly cache?: string;
  readonly offline?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
}

/**
 * `sightline pull`: downloads published weights, or lists them.
 * @param command What was typed, for saying how to go on.
 */
export async function pullWeights(name: string | undefined, options: PullVerbOptions, command: string): Promise<number> {
  if (name !== undefined) return download(name, options, command);
  const { file, revision, force } = options;
  const typed = file !== undefined ? `--file ${file.join(" ")}` : revision !== undefined ? `--revision ${revision}` : force === true ? "--force" : undefined;
  if (typed !== undefined) throw new InputError(`${typed} must come with the name of weights; got no name`, "put the name first: sightline pull NAME --file PATH; without options sightline pull lists the names");
  return list(options);
}

async function download(name: string, options: PullVerbOptions, command: string): Promise<number> {
  const progress = new Progress(process.stderr);
  const interruption = new Interruption((line) => progress.print(line), "stopping; what has arrived is kept (press Ctrl-C again to end at once)");
  const signal = interruption.begin();
  let last: PullProgress | undefined;
  try {
    const files = await pull(name, {
      ...hubOptions({ ...options, signal }),
      revision: options.revision,
      files: options.file,
      force: options.force,
      onNote: (line) => progress.print(`note: ${line}`),
      onProgress: (now) => {
        last = now;
        show(progress, now);
      },
    });
    progress.stop();
    report(name, files, options.json === true);
    return 0;
  } catch (error) {
    if (!signal.aborted) throw error;
    progress.stop();
    note(`stopped${last === undefined ? "" : ` at ${amount(last)} of ${last.path}`}; go on with: ${command}`);
    return STOPPED;
  } finally {
    progress.stop();
    interruption.stop();
  }
}

/** `12.3 MB of 548.1 MB`. */
function amount({ received, total }: PullProgress): string {
  return total === undefined ? byteSize(received) : `${byteSize(received)} of ${byteSize(total)}`;
}

function show(progress: Progress, now: PullProgress): void {
  const { path, file, files, received, total, bytesPerSecond, secondsLeft } = now;
  const label = files === 1 ? path : `${path} (${file} of ${files})`;
  const speed = bytesPerSecond === 0 ? [] : [`${byteSize(bytesPerSecond)}/s`];
  const left = secondsLeft === undefined ? [] : [`${duration(secondsLeft)} left`];
  progress.update(label, total === undefined ? 0 : received, Math.max(1, total ?? 1), [...speed, ...left, amount(now)].join(", "));
}

function report(name: string, files: readonly PulledFile[], json: boolean): void {
  if (json) {
    print(JSON.stringify({ name, files: files.map(({ path, location, size, sha256, cached }) => ({ file: path, path: location, size, sha256, cached })) }, null, 2));
    return;
  }
  const fetched = files.filter(({ cached }) => !cached).length;
  const how = fetched === 0 ? "in the cache already" : fetched === files.length ? "downloaded" : `${fetched} downloaded, the rest in the cache already`;
  note(`${name}: ${counted(files.length, "file")}, ${byteSize(sumOf(files))}, ${how}`);
  for (const { location } of files) print(location);
}

/** What there is by name, and how much of it is here already. */
async function list({ json = false, ...options }: PullVerbOptions): Promise<number> {
  const { store, connection } = hubOptions(options);
  const entries = await store.list();
  const models = PUBLISHED.map((model) => describe(model, connection.endpoint, entries));
  const keys = new Set(models.flatMap((model) => model.keys));
  const others = entries.filter(({ key }) => !keys.has(key));
  const cache = store instanceof FileStore ? store.root : "";
  if (json) {
    print(JSON.stringify({ cache, models: models.map(({ keys: _, ...model }) => model), others }, null, 2));
    return 0;
  }
  const rows = models.map(({ name, size, licence, cached, about }) => [name, size === null ? "?" : byteSize(size), licence, cached === "no" ? "" : cached, about]);
  for (const line of table([["name", "size", "licence", "cached", "what it is"], ...rows])) print(line);
  if (others.length > 0) print();
  for (const { key, size, complete } of others) print(`${complete ? "also cached" : "begun"}: ${key}, ${byteSize(size)}`);
  print();
  print(`cache: ${cache}`);
  return 0;
}

interface Described {
  readonly name: string;
  readonly about: string;
  readonly licence: string;
  readonly fits: readonly string[];
  readonly source: string;
  /** Bytes of all files, or null where some are not known before the download. */
  readonly size: number | null;
  readonly cached: "yes" | "in part" | "no";
  readonly keys: readonly string[];
}

function describe(model: PublishedModel, endpoint: string, entries: readonly StoredEntry[]): Described {
  const { name, about, licence, fits } = model;
  const target = findTarget(name, { endpoint, models: [model] });
  const files = target.files ?? [];
  const here = (key: string): StoredEntry | undefined => entries.find((entry) => entry.key === key && entry.complete);
  const sizes = files.map(({ key, size }) => here(key)?.size ?? size);
  // Settings and tokenisers are small beside weights: without their sizes the sum is still about right.
  const isKnown = files.every(({ path }, i) => sizes[i] !== undefined || /\.(?:json|txt)$/.test(path));
  const held = files.filter(({ key }) => entries.some((entry) => entry.key === key));
  const cached = files.every(({ key }) => here(key) !== undefined) ? "yes" : held.length > 0 ? "in part" : "no";
  const source = target.repo === null ? target.base : `${target.repo.id}@${target.repo.revision}`;
  return { name, about, licence, fits, source, size: isKnown ? sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) : null, cached, keys: files.map(({ key }) => key) };
}

function sumOf(files: readonly { readonly size: number }[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}
