/** Files that a page fetches from an address: with progress, an end when nothing comes, and errors that say what to do. */

import { PassingFailure, request, shownAddress, type Answer } from "../checkpoint/hub/request.ts";
import { InputError, NetworkError } from "../core/errors.ts";

/** What waits in memory until the browser takes it, which may lay it on the disk. */
const PIECE_BYTES = 2 ** 23;

export interface FetchOptions {
  readonly signal?: AbortSignal;
  /** Told after each piece: bytes so far, and in all where the server says. */
  readonly onBytes?: (received: number, total: number | undefined) => void;
}

/**
 * The file at an address. The browser's own cache serves it again.
 * @param address Absolute, or relative to the page or the worker's script.
 * @throws InputError if the server has no such file, or does not let this page read it.
 * @throws NetworkError if the server cannot be reached, or the connection breaks.
 */
export async function fetchFile(address: string, options: FetchOptions = {}): Promise<Blob> {
  const file = await fetchIfThere(address, options);
  if (file !== null) return file;
  throw new InputError(`${shownAddress(address)} must be a file that its server has; it answered that there is none (404)`, "check the address");
}

/** As {@link fetchFile}; null where the server has no such file. */
export async function fetchIfThere(address: string, { signal, onBytes }: FetchOptions = {}): Promise<Blob | null> {
  const url = absolute(address);
  let answered = false;
  try {
    const answer = await request({ endpoint: url.href, redirects: "by the browser", cache: "default", signal }, url.href);
    answered = true;
    if (answer.status === 200) return await gather(answer, onBytes);
    answer.cancel();
    if (answer.status === 404 || answer.status === 410) return null;
    throw new InputError(`${shownAddress(address)} must be a file that its server sends; it answered ${answer.status}`, "check the address, or ask who runs the server");
  } catch (error) {
    if (!(error instanceof PassingFailure)) throw error;
    throw !answered && error.cause !== undefined && (await isForbidden(url, signal))
      ? new InputError(`${shownAddress(address)}: its server must allow pages of ${globalThis.location.origin} to read it; it does not`, "serve the file beside the page, or let the server send Access-Control-Allow-Origin", { cause: error })
      : new NetworkError(`${shownAddress(address)}: ${error.message}`, "check the address and the network, and try again", { cause: error });
  }
}

function absolute(address: string): URL {
  const base = globalThis.document?.baseURI ?? globalThis.location.href;
  if (URL.canParse(address, base)) return new URL(address, base);
  throw new InputError(`an address must be one of the web, or relative to the page; got ${JSON.stringify(address.slice(0, 200))}`, "check the address");
}

async function gather(answer: Answer, onBytes: FetchOptions["onBytes"]): Promise<Blob> {
  const announced = answer.headers.get("content-length");
  const pieces: Blob[] = [];
  let waiting: Uint8Array<ArrayBuffer>[] = [];
  let [received, size] = [0, 0]; // in all, and of what waits
  for await (const chunk of answer.chunks()) {
    waiting.push(chunk as Uint8Array<ArrayBuffer>);
    size += chunk.length;
    received += chunk.length;
    if (size >= PIECE_BYTES) {
      pieces.push(new Blob(waiting));
      [waiting, size] = [[], 0];
    }
    // What was announced counts compressed bytes where the server compresses.
    onBytes?.(received, announced === null || Number(announced) < received ? undefined : Number(announced));
  }
  return new Blob([...pieces, ...waiting], { type: answer.headers.get("content-type") ?? "" });
}

/** Whether a server is there and another page may not read what it sends: browsers tell this from a broken network only in this way. */
async function isForbidden(url: URL, signal: AbortSignal | undefined): Promise<boolean> {
  if (!/^https?:$/.test(url.protocol) || url.origin === globalThis.location.origin) return false;
  return fetch(url, { mode: "no-cors", method: "HEAD", signal: signal ?? null }).then(() => true, () => false);
}
