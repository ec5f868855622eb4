/** The suite in a page or in Deno: fetches its work from the server it was loaded from, and posts what it finds. */

import { requestDevice } from "../../src/device/device.ts";
import type { CaseFile, SuiteEvent, SuiteFiles, SuiteJob } from "./findings.ts";
import { runSuite } from "./suite.ts";

/** What the server says is to be done; the tensors of a file lie at `/NAME.safetensors`. */
export interface ClientWork {
  readonly job: SuiteJob;
  readonly files: { readonly [Name in keyof SuiteFiles]?: Omit<CaseFile, "tensors"> };
}

const POST_MILLISECONDS = 250; // findings of so long travel together

async function fetchFiles(files: ClientWork["files"]): Promise<SuiteFiles> {
  const complete = async (name: keyof SuiteFiles): Promise<CaseFile | undefined> => {
    const file = files[name];
    return file && { ...file, tensors: new Uint8Array(await (await fetch(`/${name}.safetensors`)).arrayBuffer()) };
  };
  return { ops: await complete("ops"), optim: await complete("optim") };
}

let waiting: SuiteEvent[] = [];
let posted = performance.now();

async function post(): Promise<void> {
  const body = JSON.stringify(waiting);
  waiting = [];
  await fetch("/events", { method: "POST", body });
  posted = performance.now();
}

try {
  const { job, files } = (await (await fetch("/work.json")).json()) as ClientWork;
  await runSuite(job, await fetchFiles(files), requestDevice, async (event) => {
    waiting.push(event);
    if (performance.now() - posted > POST_MILLISECONDS) await post();
  });
} catch (error) {
  waiting.push({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
}
await post();
