/** The origin's private file system (OPFS): files that a page keeps on the device. */

import { InputError } from "../core/errors.ts";

function noStorage(cause?: unknown): InputError {
  return new InputError("the browser does not let this page store files", "leave private browsing, and open the page from https or localhost", { cause });
}

/** The operation's result; its failure as one clear line. */
export async function attempt<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    const { name } = cause as DOMException;
    if (name === "QuotaExceededError") throw new InputError("the browser's storage for this page is full", "delete models and runs that are not needed any more", { cause });
    if (name === "SecurityError") throw noStorage(cause);
    throw cause;
  }
}

/** The operation's result, or null where there is no such file or folder. */
export async function ifThere<T>(operation: Promise<T>): Promise<T | null> {
  try {
    return await operation;
  } catch (error) {
    if ((error as DOMException).name === "NotFoundError") return null;
    throw error;
  }
}

/** Writes a file so that at every moment it holds either the whole old content or the whole new one: what is written replaces it when it is closed. */
export async function writeWhole(folder: FileSystemDirectoryHandle, name: string, content: Uint8Array<ArrayBuffer> | Blob | string): Promise<void> {
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable();
  try {
    await stream.write(content);
    await stream.close();
  } catch (error) {
    await stream.abort().catch(() => undefined); // the first error is the one to report
    throw error;
  }
}

/** A file's text; null where there is none. */
export async function readText(folder: FileSystemDirectoryHandle, name: string): Promise<string | null> {
  const handle = await ifThere(folder.getFileHandle(name));
  return handle === null ? null : (await handle.getFile()).text();
}

/** A JSON object in a file; empty where there is none, or it cannot be read. */
export async function readJson(folder: FileSystemDirectoryHandle, name: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return JSON.parse((await readText(folder, name)) ?? "{}") as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

/** The folders in a folder. */
export async function foldersIn(folder: FileSystemDirectoryHandle | null): Promise<FileSystemDirectoryHandle[]> {
  const found: FileSystemDirectoryHandle[] = [];
  if (folder !== null) for await (const handle of folder.values()) if (handle.kind === "directory") found.push(handle as FileSystemDirectoryHandle);
  return found;
}

/** Takes a lock that ends with the page. Null if another page, or this one, has it. */
export function takeLock(name: string): Promise<(() => void) | null> {
  return new Promise((resolve, reject) => {
    const held = navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock === null) return resolve(null);
      return new Promise<void>((release) => resolve(release));
    });
    held.catch(reject);
  });
}

/** A folder of that name for this page's own files. @throws InputError if the browser keeps none. */
export async function openStorage(name: string): Promise<FileSystemDirectoryHandle> {
  if (navigator.storage?.getDirectory === undefined || navigator.locks === undefined) throw noStorage();
  const root = await attempt(navigator.storage.getDirectory());
  return attempt(root.getDirectoryHandle(name, { create: true }));
}
