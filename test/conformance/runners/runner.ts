import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { DeviceError } from "../../../src/core/errors.ts";
import { serve } from "../../browser.ts";
import type { ClientWork } from "../client.ts";
import type { SuiteEvent, SuiteFiles, SuiteJob } from "../findings.ts";
import type { Emit } from "../suite.ts";

/** What a runner is given. */
export interface Work {
  readonly job: SuiteJob;
  readonly files: SuiteFiles;
}

/** One WebGPU implementation. */
export interface Runner {
  /** As it stands in `--on`. */
  readonly name: string;
  /** As people read it: the program, what its WebGPU is made of, and the driver. */
  readonly title: string;
  /** What must be installed first, or null. */
  missing(): string | null;
  /** Runs the suite, and returns which version did. @throws Error if the implementation cannot run it to its end. */
  run(work: Work, emit: Emit): Promise<string>;
}

/** The folder of the repository, from the bundle in dist/ as well as from the sources. */
export const ROOT = findRoot();

const SILENCE_SECONDS = 600; // without a message: the slowest case takes seconds

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "test", "conformance", "client.ts"))) {
    if (folder === dirname(folder)) throw new Error("the folder test/conformance was not found: the suite runs in a clone of the repository only");
    folder = dirname(folder);
  }
  return folder;
}

/** Bundles the client, serves it with its work, and lets `visit` bring something there that runs it. */
export async function serveSuite(work: Work, emit: Emit, visit: (origin: string, finished: Promise<void>) => Promise<string>): Promise<string> {
  const { outputFiles } = await build({ entryPoints: [join(ROOT, "test", "conformance", "client.ts")], bundle: true, format: "esm", platform: "browser", target: "es2022", write: false, logLevel: "error" });
  const { job, files } = work;
  const { models = [] } = files;
  const index = (name: "ops" | "optim"): { name: string; index: unknown } | undefined => files[name] && { name: files[name].name, index: files[name].index };
  const clientWork: ClientWork = { job, files: { ops: index("ops"), optim: index("optim") }, models: models.map((folder) => ({ ...folder, files: Object.keys(folder.files) })) };
  const binary = (body: Uint8Array = new Uint8Array()): { type: string; body: Uint8Array } => ({ type: "application/octet-stream", body });

  let succeed: () => void;
  let fail: (error: unknown) => void;
  const finished = new Promise<void>((resolve, reject) => [succeed, fail] = [resolve, reject]);
  finished.catch(() => undefined); // a visit that fails by itself does not wait for it
  let alarm: ReturnType<typeof setTimeout>;
  const wait = (): void => {
    clearTimeout(alarm);
    alarm = setTimeout(() => fail(new DeviceError(`nothing was heard for ${SILENCE_SECONDS} seconds`)), 1000 * SILENCE_SECONDS);
  };
  const hear = async (events: readonly SuiteEvent[]): Promise<void> => {
    for (const event of events) {
      await emit(event);
      if (event.kind === "finished") succeed();
      if (event.kind === "failed") fail(new DeviceError(event.message));
    }
  };
  let heard = Promise.resolve(); // events are told one after the other
  const { origin, server } = await serve(
    {
      "/": { type: "text/html", body: '<!doctype html><title>conformance</title><script type="module" src="/client.mjs"></script>' },
      "/client.mjs": { type: "text/javascript", body: outputFiles[0].contents },
      "/work.json": { type: "application/json", body: JSON.stringify(clientWork) },
      "/ops.safetensors": binary(files.ops?.tensors),
      "/optim.safetensors": binary(files.optim?.tensors),
      ...Object.fromEntries(models.flatMap((folder) => Object.entries(folder.files).map(([file, body]) => [`/models/${folder.name}/${file}`, binary(body)]))),
    },
    (body) => {
      wait();
      heard = heard.then(() => hear(JSON.parse(body) as SuiteEvent[])).catch(fail);
    },
  );
  wait();
  try {
    return await visit(origin, finished);
  } finally {
    clearTimeout(alarm!);
    server.closeAllConnections();
    server.close();
  }
}
