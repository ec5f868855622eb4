import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";
import { Captioner } from "../src/caption/captioner.ts";
import { saveSafetensors } from "../src/checkpoint/files.ts";
import { SCENE_WORDS } from "../src/data/scene-grammar.ts";
import { squash } from "../src/data/preprocess.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";
import type { Device } from "../src/device/device.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** How a run of the command line ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command line that is under way. */
export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** The command line, bundled anew for the calling file's tests, and a folder that it runs in. */
export interface CommandLine {
  readonly folder: string;
  path(...names: string[]): string;
  start(...args: string[]): Running;
  run(...args: string[]): Promise<Ended>;
  /** A line for sh in which `$sightline` is the command line. */
  shell(line: string): Promise<Ended>;
}

export function useCommandLine(): CommandLine {
  const folder = mkdtempSync(join(tmpdir(), "sightline-cli-"));
  // Inside the repository, so that the bundle finds its packages.
  const bundle = join(ROOT, "test-artifacts", `cli-${process.pid}`);
  beforeAll(() => execFileSync(process.execPath, ["build.mjs", "--quiet", "--out", bundle], { cwd: ROOT }));
  afterAll(() => {
    for (const made of [folder, bundle]) if (existsSync(made)) rmSync(made, { recursive: true });
  });
  const main = join(bundle, "cli.mjs");
  const environment = { ...process.env, sightline: `${process.execPath} ${main}` };
  const start = (command: string, args: readonly string[]): Running => {
    const child = spawn(command, args, { cwd: folder, env: environment, stdio: ["ignore", "pipe", "pipe"] });
    return { child, ended: collect(child) };
  };
  return {
    folder,
    path: (...names) => join(folder, ...names),
    start: (...args) => start(process.execPath, [main, ...args]),
    run: (...args) => start(process.execPath, [main, ...args]).ended,
    shell: (line) => start("bash", ["-c", line]).ended,
  };
}

async function collect(child: ChildProcess): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (texts.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (texts.stderr += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...texts };
}

/** Writes a checkpoint of a small model that was never trained. */
export async function writeUntrainedModel(device: Device, path: string): Promise<void> {
  const vocabulary = Vocabulary.build(SCENE_WORDS, 1);
  const model = {
    system: "storyteller",
    backbone: { block: "basic", layers: [1, 0, 0, 0], width: 4, stem: "small", classes: 0 },
    grid: 1,
    features: 0,
    attention: "dot",
    decoder: { cell: "lstm", vocabulary: vocabulary.size, embedding: 8, hidden: 8 },
  } as const;
  const captioner = Captioner.make(device, { model, maxLength: 5 }, vocabulary, squash(8), 1);
  await saveSafetensors(path, await captioner.model.stateDict(), captioner.metadata());
  captioner.dispose();
}
