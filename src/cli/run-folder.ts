import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { attempt, fileError } from "../checkpoint/files.ts";
import { resolveModel } from "../checkpoint/hub/files.ts";
import { weightsAmong } from "../checkpoint/hub/listing.ts";
import { InputError } from "../core/errors.ts";
import { counted } from "../core/format.ts";

/** The files of a run. */
export interface RunFolder {
  readonly folder: string;
  readonly last: string;
  readonly best: string;
  readonly metrics: string;
  readonly report: string;
  /** The settings of the run, for `--config`. */
  readonly config: string;
  /** What the captioner is, how it was made, what it scores. */
  readonly card: string;
}

/** Where runs are made, and looked for. */
const RUNS = "runs";

/** Weights that come with the package, beside the bundle that this becomes part of. */
const SHIPPED = fileURLToPath(new URL("../weights/", import.meta.url));

export function filesOf(folder: string): RunFolder {
  const [last, best, metrics, report, config, card] = ["last.safetensors", "best.safetensors", "metrics.jsonl", "report.html", "config.json", "model-card.md"].map((name) => join(folder, name));
  return { folder, last, best, metrics, report, config, card };
}

/** A folder's name of its own for a new run. */
export function newRunName(system: string, stamp: string): string {
  return join(RUNS, `${system}-${stamp}`);
}

/** Makes a folder, and those above it, where there is none. @throws InputError if it cannot be made. */
export async function makeFolder(folder: string): Promise<void> {
  // Node 20 tries for ever where a folder refuses new ones with ENOENT, as /proc does, unless told that its parent is there.
  if (!existsSync(folder)) await attempt("write", folder, mkdir(folder, { recursive: !existsSync(dirname(folder)) }));
}

/**
 * Makes the folder of a new run.
 * @throws InputError if it cannot be made, or already holds something.
 */
export async function createRunFolder(folder: string): Promise<RunFolder> {
  await makeFolder(folder);
  const held = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOTDIR") throw new InputError(`--out ${folder} must be a folder; got a file of that name`, "choose another name");
    throw fileError("read", folder, cause);
  });
  if (held.length === 0) return filesOf(folder);
  const isRun = held.includes("last.safetensors") || held.includes("metrics.jsonl");
  throw new InputError(
    `--out ${folder} must be a new or empty folder; got one with ${isRun ? "another run" : counted(held.length, "file")} in it`,
    isRun ? `choose another name, or continue that run with --resume ${folder}` : "choose another name",
  );
}

/** A run that is there already. */
export interface FoundRun extends RunFolder {
  readonly checkpoint: string;
  /** Whether the checkpoint lies among the run's other files; a copy of it alone goes on in a folder of its own. */
  readonly inRunFolder: boolean;
}

/** The run that `--resume` names, by its folder or by a checkpoint. @throws InputError if there is no checkpoint. */
export function findRun(path: string): FoundRun {
  if (!existsSync(path)) throw new InputError(`--resume ${path} must be the folder of a run, or a checkpoint in it; got nothing of that name`, runsHint());
  if (!statSync(path).isDirectory()) {
    const files = filesOf(dirname(path));
    return { ...files, checkpoint: path, inRunFolder: basename(path) === basename(files.last) && existsSync(files.metrics) };
  }
  const files = filesOf(path);
  if (existsSync(files.last)) return { ...files, checkpoint: files.last, inRunFolder: true };
  throw new InputError(`--resume ${path} must hold last.safetensors; got a folder without it`, existsSync(files.metrics) ? "the run ended before its first checkpoint; start a new one" : runsHint());
}

/**
 * The file of the model to use: the one asked for (a run's folder, a folder with published files, a file, the name of weights that come
 * with the package or were pulled), else the newest run's best one, else the first that comes with the package.
 * @throws InputError if there is none.
 */
export async function findModel(asked: string | undefined): Promise<string> {
  if (asked === undefined) {
    const newest = runs().at(0)?.best ?? shipped();
    if (newest !== undefined) return newest;
    throw new InputError(`no model found: there is no run under ${RUNS}/ and no weights came with the package`, "train one with: npm run train");
  }
  if (!existsSync(asked)) return shippedAs(asked) ?? pulledAs(asked);
  if (!statSync(asked).isDirectory()) return asked;
  const names = readdirSync(asked);
  const { best, last } = filesOf("");
  const weights = [best, last].find((name) => names.includes(name)) ?? weightsAmong(names);
  if (weights === undefined) throw new InputError(`--model ${asked} must hold best.safetensors, or a published file of weights; got a folder without a checkpoint`, runsHint());
  return join(asked, weights);
}

async function pulledAs(asked: string): Promise<string> {
  try {
    return await resolveModel(asked);
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`--model ${asked} must be the folder of a run, a file of weights, or the name of weights that were pulled; got nothing of that name`, `${runsHint()}; \`sightline pull\` lists the names`, { cause });
  }
}

/** Finished checkpoints under runs/, the newest first. */
function runs(): RunFolder[] {
  if (!existsSync(RUNS)) return [];
  const age = ({ best }: RunFolder): number => statSync(best).mtimeMs;
  const found = readdirSync(RUNS).map((name) => filesOf(join(RUNS, name))).filter(({ best }) => existsSync(best));
  return found.toSorted((a, b) => age(b) - age(a));
}

function shipped(): string | undefined {
  const [first] = shippedNames();
  return first && join(SHIPPED, first);
}

/** The weights of that name, with or without its ending. */
function shippedAs(asked: string): string | undefined {
  const name = shippedNames().find((each) => each === asked || each === `${asked}.safetensors`);
  return name && join(SHIPPED, name);
}

function shippedNames(): string[] {
  return existsSync(SHIPPED) ? readdirSync(SHIPPED).filter((name) => name.endsWith(".safetensors")).sort() : [];
}

function runsHint(): string {
  const names = runs().slice(0, 3).map(({ folder }) => `${RUNS}/${basename(folder)}`);
  return names.length === 0 ? "train a model with: npm run train" : `there ${names.length === 1 ? "is" : "are"} ${names.join(", ")}`;
}
