import { startThroughBlob } from "../web/start-worker.ts";

/**
 * Starts one of the page's workers under the page's own Content-Security-Policy. Browsers take a worker's policy from the headers of its address,
 * and static hosts send none; a worker that begins at a blob: address takes over the page's.
 * @param file The script, beside the page.
 */
export function startWorker(file: string): Worker {
  return startThroughBlob(new URL(file, document.baseURI));
}
