/** Captioners for pages: from an address, from files that were chosen or dropped, or published ones by name. */

import { captionerOf, type OpenedCaptioner } from "../caption/opened-captioner.ts";
import { browserHubOptions, BrowserStore, type BrowserHubSettings } from "../checkpoint/hub/browser.ts";
import { weightsAmong } from "../checkpoint/hub/listing.ts";
import type { PublishedModel } from "../checkpoint/hub/manifest.ts";
import { pull } from "../checkpoint/hub/pull.ts";
import { openCheckpointSource } from "../checkpoint/open.ts";
import type { ByteSource, CheckpointReader } from "../checkpoint/reader.ts";
import { InputError } from "../core/errors.ts";
import type { Device } from "../device/device.ts";
import { fetchFile, fetchIfThere } from "./fetched.ts";
import type { CaptionerSource, LoadProgress } from "./service.ts";

/** Where published models come from, and where they are kept. */
export interface WebHub extends Omit<BrowserHubSettings, "signal"> {
  /** Models that have a short name. Default: those of the manifest. */
  readonly models?: readonly PublishedModel[];
}

export interface OpenOptions {
  readonly hub?: WebHub;
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends the download. Of a published model, what has arrived is kept and the next time goes on from there. */
  readonly signal?: AbortSignal;
}

/** Weights and what lies around them, wherever that is. */
interface Files {
  /** The file with the weights, or the index of several. */
  readonly weights: string;
  /** A file as people know it. */
  nameOf(file: string): string;
  /** Null where there is no such file. */
  open(file: string): Promise<ByteSource | null>;
  /** What to do where the words of a recurrent decoder are missing. */
  readonly wordsHint: string;
}

/**
 * Opens any captioner: one that this library trained, or a published one.
 * @throws InputError if there is no such file or model, or something is missing beside it.
 * @throws NetworkError if a server cannot be reached. @throws CheckpointError if the file is no captioner, or damaged.
 */
export async function openCaptioner(device: Device, source: CaptionerSource, options: OpenOptions = {}): Promise<OpenedCaptioner> {
  const files = await findFiles(source, options);
  const reader = await openWeights(files, options);
  try {
    return await captionerOf(device, reader, {
      nameOf: files.nameOf,
      read: async (file) => {
        const found = await files.open(file);
        return found && found.read(0, found.size);
      },
      wordsHint: files.wordsHint,
      openEncoder: async () => openWeights(await publishedFiles("resnet50", options), options),
    });
  } finally {
    await reader.close();
  }
}

function findFiles(source: CaptionerSource, options: OpenOptions): Promise<Files> {
  switch (source.kind) {
    case "address":
      return addressFiles(source.address, options);
    case "file":
      return Promise.resolve(chosenFiles(source.file, source.beside ?? [], options));
    case "published":
      return publishedFiles(source.name, options);
    default:
      return source satisfies never;
  }
}

async function openWeights({ weights, nameOf, open }: Files, { signal }: OpenOptions): Promise<CheckpointReader> {
  const need = async (file: string): Promise<ByteSource> => {
    const source = await open(file);
    if (source === null) throw new InputError(`${nameOf(file)} must be there, as ${nameOf(weights)} names it; got no such file`, "the weights stand in several files, which belong together");
    return abortable(source, signal);
  };
  return openCheckpointSource(await need(weights), nameOf(weights), need);
}

/** A source whose reading ends with the signal. */
function abortable(source: ByteSource, signal: AbortSignal | undefined): ByteSource {
  return { ...source, read: async (begin, end) => (signal?.throwIfAborted(), source.read(begin, end)) };
}

/** Bytes of a file or of a download. A browser reads the parts that are asked for from where it keeps them. */
function blobSource(blob: Blob, name: string): ByteSource {
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    try {
      return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
    } catch (cause) {
      throw new InputError(`${name} must stay as it is while it is read; got a file that was moved, changed or deleted`, "choose it again", { cause });
    }
  };
  return { size: blob.size, read, close: async () => undefined };
}

/** A file on a server, and the files in the same folder. */
async function addressFiles(address: string, { onProgress, signal }: OpenOptions): Promise<Files> {
  const path = address.replace(/[?#].*$/s, ""); // what stands behind it, such as a signature, belongs to this file alone, and may have slashes
  const weights = path.replace(/^.*\//s, "");
  const nameOf = (file: string): string => path.replace(/[^/]*$/, () => file);
  const whole = await fetchFile(address, { signal, onBytes: (received, total) => onProgress?.({ file: nameOf(weights), received, total }) });
  const open = async (file: string): Promise<ByteSource | null> => {
    const blob = file === weights ? whole : await fetchIfThere(nameOf(file), { signal });
    const isThere = blob !== null && !(file !== weights && blob.type.startsWith("text/html")); // some hosts answer with a page where there is no such file
    return isThere ? blobSource(blob, nameOf(file)) : null;
  };
  return { weights, nameOf, open, wordsHint: "lay one of them beside it on the server" };
}

/** A file that was chosen or dropped, and those that were chosen with it. */
function chosenFiles(chosen: File, beside: readonly File[], { onProgress }: OpenOptions): Files {
  const open = async (name: string): Promise<ByteSource | null> => {
    const file = name === chosen.name ? chosen : beside.find((other) => other.name === name);
    if (file === undefined) return null;
    const source = blobSource(file, name);
    let received = 0; // a few bytes are read twice: the header, tables of words
    const read = async (begin: number, end: number): Promise<Uint8Array> => {
      const bytes = await source.read(begin, end);
      received = Math.min(file.size, received + bytes.length);
      onProgress?.({ file: name, received, total: file.size });
      return bytes;
    };
    return { ...source, read };
  };
  return { weights: chosen.name, nameOf: (name) => name, open, wordsHint: "choose that file together with the weights" };
}

/** A published model, which is downloaded where it is not stored yet. */
async function publishedFiles(name: string, { hub = {}, onProgress, signal }: OpenOptions): Promise<Files> {
  const { models, store = new BrowserStore(), ...settings } = hub;
  const pulled = await pull(name, {
    ...browserHubOptions({ ...settings, store, signal }),
    models,
    onProgress: ({ path, received, total }) => onProgress?.({ file: path, received, total }),
  });
  const open = async (path: string): Promise<ByteSource | null> => {
    const file = pulled.find((one) => one.path === path);
    return file === undefined ? null : store.open(file.key);
  };
  const paths = pulled.map(({ path }) => path);
  return { weights: weightsAmong(paths) ?? paths[0], nameOf: (path) => `${name}/${path}`, open, wordsHint: "choose its files, the one with the words among them, instead of its name" };
}
