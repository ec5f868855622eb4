import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { SightlineError } from "../src/core/errors.ts";
import { requestDevice, type Device } from "../src/device/device.ts";
import { benchCases } from "./cases.ts";
import { defaultStep } from "./default-step.ts";
import { readEnvironment } from "./environment.ts";
import { FULL_SIZES, measureFullSizes, measurePart, PARTS } from "./full-size.ts";
import { measureHost, type HostOverhead } from "./host.ts";
import { measureCase, type KernelTime } from "./kernels.ts";
import { measurePeak, type Rates } from "./peak.ts";
import { Arena, WORKLOADS, type PeerTime } from "./peers/compare.ts";
import { describeWorkload } from "./peers/contender.ts";
import { BENCH_FOLDER, installPeers } from "./peers/install.ts";
import { CONTENDERS, serveContender } from "./peers/worker.ts";
import * as report from "./report.ts";
import { compareResults, makeResults, readResults, writeResults, type Results } from "./results.ts";
import { measureStep, type KernelShare, type StepTime } from "./step.ts";

interface Options {
  readonly filter?: string;
  readonly seconds: number;
  readonly peers: boolean;
  readonly models: boolean;
  readonly json: boolean;
  readonly compare?: readonly string[];
}

type Say = (line: string) => void;

const EXAMPLES = `
Examples:
  npm run bench                               everything on this adapter, in a few minutes
  npm run bench -- --filter conv2d            only what has "conv2d" in its name
  npm run bench -- --filter matmul --peers    products, beside jax-js and TensorFlow.js
  npm run bench -- --models                   ResNet-50, ViT-B/16 and GPT-2: load, forward, training step, words
  npm run bench -- --compare A.json B.json    two files from bench/results

SIGHTLINE_ADAPTER=auto|hardware|software chooses the adapter.`;

async function bench(options: Options, say: Say): Promise<void> {
  const wanted = (name: string): boolean => name.toLowerCase().includes((options.filter ?? "").toLowerCase());
  const budget = options.seconds;
  const device = await requestDevice();
  const environment = readEnvironment(device, new Date());
  for (const line of report.environmentLines(environment, device.summary)) say(line);
  const peak = await measurePeak(device, budget);
  say(report.peakLine(peak));

  // Written after each part: a run that is cut short leaves what it has found.
  let results = makeResults({ environment, peak, kernels: [], steps: [], shares: [], host: null, peers: [] });
  const save = (found: Partial<Results>): string => {
    results = { ...results, ...found };
    return writeResults(results, join(BENCH_FOLDER, "results"));
  };
  save({ kernels: await benchKernels(device, peak, budget, wanted, say) });
  await device.close();
  if (["training step", "caption"].some(wanted)) save(await benchSteps(peak, budget, say));
  if (wanted("host overhead")) save({ host: await benchHost(say) });
  const file = save({ peers: options.peers ? await benchPeers(budget, wanted, say) : [] });
  say(`\nresults: ${file}`);
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

/** Models of published sizes with random weights, and nothing else. */
async function benchModels({ filter = "", json }: Options, say: Say): Promise<void> {
  const device = await requestDevice();
  const environment = readEnvironment(device, new Date());
  for (const line of report.environmentLines(environment, device.summary)) say(line);
  await device.close();
  say(`\n${report.partHeader()}`);
  const models = await measureFullSizes((name) => name.toLowerCase().includes(filter.toLowerCase()), (time) => say(report.partRow(time)));
  for (const line of report.partNotes(models)) say(line);
  if (json) process.stdout.write(`${JSON.stringify({ environment, models })}\n`);
}

async function benchKernels(device: Device, peak: Rates, budget: number, wanted: (name: string) => boolean, say: Say): Promise<KernelTime[]> {
  const cases = benchCases().filter(({ op, sample }) => wanted(`${op} ${sample}`));
  if (cases.length === 0) return [];
  say(`\n${report.kernelHeader()}`);
  const times: KernelTime[] = [];
  for (const benchCase of cases) {
    for (const time of await measureCase(device, benchCase, peak, budget)) {
      times.push(time);
      say(report.kernelRow(time, peak));
    }
  }
  say("(more than 100 % of a memory-bound peak: the data stays in caches, which the copy overflows)");
  return times;
}

/** On a device of its own, so that its peak memory is the step's. */
async function benchSteps(peak: Rates, budget: number, say: Say): Promise<{ steps: StepTime[]; shares: KernelShare[] }> {
  const device = await requestDevice();
  const { steps, shares } = await measureStep(device, 4 * budget);
  await device.close();
  say("");
  for (const step of steps) for (const line of report.stepLines(step, peak)) say(line);
  say("");
  for (const line of report.shareLines(shares, peak)) say(line);
  return { steps, shares };
}

async function benchHost(say: Say): Promise<HostOverhead> {
  const device = await requestDevice({ adapter: "null" });
  let host: HostOverhead;
  {
    using step = await defaultStep(device);
    host = await measureHost(device, step);
  }
  await device.close();
  say("");
  for (const line of report.hostLines(host)) say(line);
  return host;
}

async function benchPeers(budget: number, wanted: (name: string) => boolean, say: Say): Promise<PeerTime[]> {
  const workloads = WORKLOADS.filter((workload) => wanted(describeWorkload(workload)));
  if (workloads.length === 0) return [];
  installPeers(say);
  say("\nother libraries, measured in turns with this one; forward only:");
  using arena = await Arena.open(say);
  say(report.peerHeader());
  const peers: PeerTime[] = [];
  for (const workload of workloads) {
    const result = await arena.compare(workload, budget / 4);
    peers.push(result);
    say(report.peerRow(result));
    for (const line of report.peerFailures(result)) say(line);
  }
  for (const line of report.peerVerdicts(peers)) say(line);
  return peers;
}

function compare(files: readonly string[], json: boolean, say: Say): void {
  const [a, b] = files.map(readResults);
  const { rows, onlyA, onlyB } = compareResults(a, b);
  for (const [name, { environment }] of [["A", a], ["B", b]] as const) {
    say(`${name}: ${environment.date}, commit ${environment.commit}, ${environment.adapter.description} on ${environment.cpu}, load ${environment.load.toFixed(1)}`);
  }
  for (const line of report.comparisonLines(rows)) say(line);
  if (onlyA + onlyB > 0) say(`${onlyA} measurements stand only in A, ${onlyB} only in B`);
  if (json) process.stdout.write(`${JSON.stringify(rows)}\n`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value))) throw new InvalidArgumentError("It must be a number of seconds above 0, such as 0.5.");
  return value;
}

const program = new Command("bench")
  .description("Measures the kernels, the default training step and one caption on this adapter.")
  .option("--filter <text>", "only measurements with this text in their name")
  .option("--seconds <number>", "time for one measurement; what takes much longer is left out", seconds, 0.5)
  .option("--peers", "also measure jax-js and TensorFlow.js on the same adapter", false)
  .option("--models", "measure models of published sizes with random weights instead", false)
  .option("--compare <files...>", "compare two result files instead of measuring")
  .option("--json", "print the results as JSON on stdout, the tables on stderr", false)
  .addHelpText("after", EXAMPLES)
  .action(async (options: Options) => {
    const stream = options.json ? process.stderr : process.stdout;
    const say: Say = (line) => void stream.write(`${line}\n`);
    if (options.models) return await benchModels(options, say);
    if (options.compare === undefined) return await bench(options, say);
    if (options.compare.length !== 2) program.error(`error: --compare needs two files; got ${options.compare.length}`);
    compare(options.compare, options.json, say);
  });
program.command("contender <name>", { hidden: true }).action(async (name: string) => {
  const contender = CONTENDERS.find((known) => known === name);
  if (contender === undefined) return program.error(`error: unknown contender ${name}`);
  await serveContender(contender);
});

program.command("full-size <model> <part> <file>", { hidden: true }).action(async (model: string, part: string, file: string) => {
  const [name, wanted] = [FULL_SIZES.find((known) => known === model), PARTS.find((known) => known === part)];
  if (name === undefined || wanted === undefined) return program.error(`error: unknown part ${part} of ${model}`);
  process.stdout.write(JSON.stringify(await measurePart(name, wanted, file)));
  process.exit(0);
});

process.stdout.on("error", () => process.exit(0)); // a closed pipe (`… | head`): nobody reads any more
try {
  await program.parseAsync();
} catch (error) {
  const message = error instanceof SightlineError ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`error: ${message}\n`);
  process.exitCode = 1;
}
