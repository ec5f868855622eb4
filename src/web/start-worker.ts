/** A worker that offers a captioner, or the address of its script. */
export type WorkerChoice = Worker | URL | string;

/**
 * Starts the captioner's worker. Browsers start no worker from another origin, so where the library comes from one, a small module of
 * this page's origin imports it; a Content-Security-Policy must then allow `blob:` in worker-src.
 * @param choice Default: the script that lies beside the library's own.
 */
export function startWorker(choice?: WorkerChoice): Worker {
  if (choice instanceof Worker) return choice;
  const library: string = import.meta.url;
  if (choice !== undefined) return startAt(new URL(choice, document.baseURI));
  if (isElsewhere(library)) return startAt(new URL("captioner-worker.mjs", library));
  return new Worker(new URL("./captioner-worker.mjs", import.meta.url), { type: "module" }); // as bundlers recognise it
}

function startAt(address: URL): Worker {
  return isElsewhere(address.href) ? startThroughBlob(address) : new Worker(address, { type: "module" });
}

/** Starts a worker by a small module at a `blob:` address, which is of the page's origin and under the page's Content-Security-Policy. */
export function startThroughBlob(address: URL): Worker {
  const module = URL.createObjectURL(new Blob([`import ${JSON.stringify(address.href)};`], { type: "text/javascript" }));
  const worker = new Worker(module, { type: "module" });
  for (const event of ["error", "message"]) worker.addEventListener(event, () => URL.revokeObjectURL(module), { once: true });
  return worker;
}

/** Whether an address is of another origin. Bundlers may put a file's path for the address of a module. */
function isElsewhere(address: string): boolean {
  const { protocol, origin } = new URL(address);
  return /^https?:$/.test(protocol) && origin !== location.origin;
}
