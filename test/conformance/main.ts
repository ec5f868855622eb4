import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { readCommit } from "../../bench/environment.ts";
import { ownVersion } from "../../bench/peers/install.ts";
import { SightlineError } from "../../src/core/errors.ts";
import { showAdapter } from "../../src/device/adapter.ts";
import { readCaseFile, readModelFolders } from "./case-files.ts";
import { FAMILIES, linesOf, type Family, type Finding, type SuiteFiles, type SuiteJob, type Surroundings } from "./findings.ts";
import { writeReport, type Outcome } from "./report.ts";
import { chromium } from "./runners/chromium.ts";
import { denoLavapipe, denoSwiftshader } from "./runners/deno.ts";
import { firefox } from "./runners/firefox.ts";
import { node } from "./runners/node.ts";
import { ROOT, type Runner } from "./runners/runner.ts";
import { modelCases } from "./model-cases.ts";
import { loadOptimCases, loadTorchCases } from "./torch-file.ts";

const RUNNERS: readonly Runner[] = [node, chromium, firefox, denoSwiftshader, denoLavapipe];
const GOLDEN = join(ROOT, "test", "golden", "ops");
const REPORT = join(ROOT, "docs", "conformance.md");
const PROGRESS_MILLISECONDS = 10_000;
const SIDE_BY_SIDE = 2; // implementations that run at once: each keeps about one core busy

interface Options {
  readonly ops?: string;
  readonly optim?: string;
  readonly models?: string;
  readonly images?: string;
  readonly variant: Family | "both";
  readonly storage?: "f32" | "f16";
  readonly on?: readonly Runner[];
  readonly all: boolean;
  readonly skipMissing: boolean;
  readonly filter: string;
  readonly report?: string;
}

const EXAMPLES = `
Examples:
  npm run conformance                                     PyTorch's cases of test/golden/ops in Node
  npm run conformance -- --ops CASES.json --optim O.json  other cases of that format; tensors in CASES.safetensors
  npm run conformance -- --models DIR                     models with published weights: outputs, gradients, words
  npm run conformance -- --on firefox,deno                everything, also against float64, on these
  npm run conformance -- --all                            everything on everything; writes docs/conformance.md

Prints a JSON line for each tensor compared, then a summary line; exit code 1 if any is not ok or could not be run.
npm prints lines of its own before; \`npm run -s conformance\` leaves them out.`;

/** A path as the user means it: npm changes into the repository first. */
function fromHere(file: string): string {
  return resolve(process.env.INIT_CWD ?? "", file);
}

/** The files of cases that are asked for; PyTorch's of the repository where none is. @throws SightlineError if they cannot be used. */
function readFiles({ ops, optim, models, images }: Options): SuiteFiles {
  const read = (file: string | undefined): SuiteFiles["ops"] => (file === undefined ? undefined : readCaseFile(fromHere(file)));
  const golden = ops === undefined && optim === undefined && models === undefined;
  const files: SuiteFiles = golden ? { ops: read(join(GOLDEN, "given.json")), optim: read(join(GOLDEN, "optim-given.json")) } : { ops: read(ops), optim: read(optim), models: models === undefined ? undefined : readModelFolders(fromHere(models), images === undefined ? undefined : fromHere(images), note) };
  files.models?.forEach(modelCases);
  if (files.ops !== undefined) loadTorchCases(files.ops);
  if (files.optim !== undefined) loadOptimCases(files.optim);
  return files;
}

function jobOf({ ops, optim, models, variant, storage, on, all, filter }: Options): SuiteJob {
  const everything = (all || on !== undefined) && ops === undefined && optim === undefined && models === undefined;
  return {
    families: variant === "both" ? FAMILIES : [variant],
    storages: storage !== undefined ? [storage] : everything ? ["f32", "f16"] : ["f32"],
    float64: everything,
    filter,
  };
}

/** Runs the suite on one implementation, and prints its lines. */
async function runOn(runner: Runner, job: SuiteJob, files: SuiteFiles, several: boolean): Promise<Outcome> {
  const missing = runner.missing();
  if (missing !== null) {
    note(`${runner.title}: not run. ${missing}`);
    return { title: runner.title, status: "not run", reason: missing, findings: [] };
  }
  note(`${runner.title} …`);
  const begun = performance.now();
  let told = begun;
  let surroundings: Surroundings | undefined;
  const findings: Finding[] = [];
  const outcome = (): Pick<Outcome, "title" | "surroundings" | "findings" | "seconds"> => ({ title: runner.title, surroundings, findings, seconds: (performance.now() - begun) / 1000 });
  try {
    const version = await runner.run({ job, files }, (event) => {
      if (event.kind === "opened") {
        surroundings = event.surroundings;
        note(`  ${showAdapter(surroundings.adapter)}`);
      }
      if (event.kind !== "case") return;
      findings.push(...event.findings);
      for (const line of linesOf(event.findings)) print(several ? { on: runner.name, ...line } : line);
      if (performance.now() - told < PROGRESS_MILLISECONDS) return;
      told = performance.now();
      note(`  ${runner.name}: ${event.done} of ${event.total} cases, ${findings.filter(({ ok }) => !ok).length} tensors not ok`);
    });
    return { ...outcome(), status: "finished", version };
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ");
    note(`${runner.title}: ${reason}`);
    return { ...outcome(), status: "failed", reason };
  }
}

async function conformance(options: Options): Promise<boolean> {
  const runners = options.all ? RUNNERS : (options.on ?? [node]);
  const files = readFiles(options);
  const job = jobOf(options);
  const report = options.report === undefined ? (options.all ? REPORT : undefined) : fromHere(options.report);
  const provenance = { command: `npm run conformance -- ${process.argv.slice(2).join(" ")}`, date: new Date().toISOString().slice(0, 10), version: ownVersion(), commit: readCommit() };
  const finished: Outcome[] = [];
  let outcomes: Outcome[] = [];
  const waiting = [...runners];
  const runWaiting = async (): Promise<void> => {
    for (let runner = waiting.shift(); runner !== undefined; runner = waiting.shift()) {
      finished.push(await runOn(runner, job, files, runners.length > 1));
      outcomes = runners.flatMap(({ title }) => finished.filter((outcome) => outcome.title === title));
      if (report !== undefined) writeFileSync(report, writeReport(outcomes, job, provenance)); // each time: all take long
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, runWaiting));
  if (report !== undefined) note(`written: ${report}`);

  const cases = outcomes.flatMap(({ findings }) => casesOf(findings));
  const lines = cases.flatMap(linesOf);
  const wrong = lines.filter(({ ok }) => !ok);
  const casesNotRun = wrong.filter(({ what }) => what === "run").length;
  print({
    summary: {
      cases: cases.length,
      tensors: lines.filter(({ what }) => what !== "run").length,
      passed: lines.length - wrong.length,
      failed: wrong.length - casesNotRun,
      casesNotRun,
      implementations: outcomes.flatMap(({ title, version }) => (version === undefined ? [] : [`${title}: ${version}`])),
      notRun: outcomes.flatMap(({ title, status, reason }) => (status === "finished" ? [] : [`${title}: ${reason}`])),
    },
  });
  const refused = outcomes.some(({ status }) => status === "failed" || (status === "not run" && !options.skipMissing));
  return lines.length > 0 && wrong.length === 0 && !refused;
}

/** Findings by case. */
function casesOf(findings: readonly Finding[]): Finding[][] {
  const cases = new Map<string, Finding[]>();
  for (const finding of findings) {
    const key = `${finding.oracle} ${finding.op}/${finding.case} ${finding.storage}`;
    const list = cases.get(key);
    if (list === undefined) cases.set(key, [finding]);
    else list.push(finding);
  }
  return [...cases.values()];
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** `node,firefox,deno`: names of runners, or what they begin with. */
function parseRunners(text: string): Runner[] {
  return text.split(",").flatMap((name) => {
    const chosen = RUNNERS.filter((runner) => runner.name === name || runner.name.startsWith(`${name}-`));
    if (chosen.length === 0) throw new InvalidArgumentError(`It must name some of ${RUNNERS.map((runner) => runner.name).join(", ")}; got "${name}".`);
    return chosen;
  });
}

const program = new Command("conformance")
  .description("Holds every op against PyTorch's results and against float64, on each WebGPU implementation.")
  .option("--ops <CASES.json>", "cases of ops; their tensors lie beside the file in CASES.safetensors")
  .option("--optim <OPTIM.json>", "trails of optimisers; their tensors lie beside the file in OPTIM.safetensors")
  .option("--models <DIR>", "a folder of a model with its weights and PyTorch's values, or of such folders")
  .option("--images <DIR>", "where the pictures lie whose classes a model's expected.json tells (default: beside it)")
  .addOption(new Option("--variant <family>", "which kernels: those of one thread, those of cooperating threads, or both (the worse error counts)").choices([...FAMILIES, "both"]).default("both"))
  .addOption(new Option("--storage <type>", "how float tensors are stored; f16 is emulated where the adapter has none (default: f32; both where everything runs)").choices(["f32", "f16"]))
  .option("--on <names>", `implementations, by commas: ${RUNNERS.map((runner) => runner.name).join(", ")} (default: node)`, parseRunners)
  .option("--all", "every implementation, one after the other, and write docs/conformance.md", false)
  .option("--skip-missing", "an implementation that is not installed is no failure", false)
  .option("--filter <text>", 'only cases with this text in "op/case"', "")
  .option("--report <file>", "write the report there")
  .configureOutput({ outputError: (text, write) => write(text) })
  .addHelpText("after", EXAMPLES)
  .action(async (options: Options) => {
    process.exitCode = (await conformance(options)) ? 0 : 1;
  });

process.stdout.on("error", () => process.exit(0)); // a closed pipe (`… | head`): nobody reads any more
try {
  await program.parseAsync();
} catch (error) {
  const message = error instanceof SightlineError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`error: ${message}\n`);
  process.exitCode = 1;
}
