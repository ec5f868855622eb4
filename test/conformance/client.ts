/** The suite in a page or in Deno: fetches its work from the server it was loaded from, and posts what it finds. */

import { requestDevice } from "../../src/device/device.ts";
import type { CaseFile, ModelFolder, SuiteEvent, SuiteFiles, SuiteJob } from "./findings.ts";
import { runSuite } from "./suite.ts";

type CaseFiles = Omit<SuiteFiles, "models">;

/** What the server says is to be done; the tensors of a file lie at `/NAME.safetensors`, the files of a model at `/models/NAME/FILE`. */
export interface ClientWork {
  readonly job: SuiteJob;
  readonly files: { readonly [Name in keyof CaseFiles]?: Omit<CaseFile, "tensors"> };
  readonly models: readonly (Pick<ModelFolder, "name" | "json"> & { readonly files: readonly string[] })[];
}

const POST_MILLISECONDS = 250; // findings of so long travel together

async function fetchBytes(path: string): Promise<Uint8Array> {
  return new Uint8Array(await (await fetch(path)).arrayBuffer());
}

async function fetchFiles({ files, models }: ClientWork): Promise<SuiteFiles> {
  const complete = async (name: keyof CaseFiles): Promise<CaseFile | undefined> => {
    const file = files[name];
    return file && { ...file, tensors: await fetchBytes(`/${name}.safetensors`) };
  };
  const folders = models.map(async ({ name, json, files: names }) => {
    const contents = names.map(async (file) => [file, await fetchBytes(`/models/${name}/${file}`)] as const);
    return { name, json, files: Object.fromEntries(await Promise.all(contents)) };
  });
  return { ops: await complete("ops"), optim: await complete("optim"), models: await Promise.all(folders) };
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
  const work = (await (await fetch("/work.json")).json()) as ClientWork;
  await runSuite(work.job, await fetchFiles(work), requestDevice, async (event) => {
    waiting.push(event);
    if (performance.now() - posted > POST_MILLISECONDS) await post();
  });
} catch (error) {
  waiting.push({ kind: "failed", message: error instanceof Error ? error.message : String(error) });
}
await post();
