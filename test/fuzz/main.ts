import { Command, InvalidArgumentError, Option } from "commander";
import { SightlineError } from "../../src/core/errors.ts";
import { ALL_CASES } from "../ops/index.ts";
import { FILE_KINDS, type FileKind } from "./files.ts";
import { fuzzFiles } from "./files-run.ts";
import { Fuzzer, type FuzzCase, type FuzzFailure, type FuzzOptions } from "./fuzz.ts";

interface Arguments {
  readonly count: number;
  readonly seed: number;
  readonly op?: string;
  readonly only?: number;
  readonly on: FuzzOptions["adapter"];
  readonly files?: number;
  readonly kind?: FileKind;
  readonly save?: string;
}

const REPORT_SECONDS = 10;

const EXAMPLES = `
Examples:
  npm run fuzz                             10,000 random shapes over all ops, on the software adapter
  npm run fuzz -- --op conv2d --seed 7     one op, with other numbers
  npm run fuzz -- --seed 7 --only 4711     the one shape that went wrong
  npm run fuzz -- --on null                only compiles, with the rules of Dawn's null adapter
  npm run fuzz -- --files 100000           damaged checkpoints, pickles and pictures instead of ops
  npm run fuzz -- --files 20000 --kind png --seed 7`;

async function fuzz({ count, seed, op, only, on }: Arguments): Promise<number> {
  const cases = ALL_CASES.filter((opCase): opCase is FuzzCase => opCase.fuzz !== undefined && (op === undefined || opCase.name === op));
  if (cases.length === 0) throw new SightlineError(`fuzz: no op with random shapes is called "${op}"`, `there are ${ALL_CASES.filter((opCase) => opCase.fuzz !== undefined).map(({ name }) => name).join(", ")}`);
  const fuzzer = new Fuzzer({ cases, seed, adapter: on });
  const [first, end] = only === undefined ? [0, count] : [only, only + 1];
  const start = performance.now();
  let reported = start;
  let wrong = 0;
  for (let index = first; index < end; index++) {
    const failure = await fuzzer.tryShape(index);
    if (failure !== null) {
      wrong++;
      console.log(describe(failure, seed, op));
    }
    if (performance.now() - reported > REPORT_SECONDS * 1e3) {
      reported = performance.now();
      console.log(`${index + 1 - first} of ${end - first} shapes, ${wrong} wrong, ${((1e3 * (index + 1 - first)) / (reported - start)).toFixed(1)} shapes/s`);
    }
  }
  await fuzzer.close();
  console.log(`${end - first} shapes of ${cases.length} ops on ${on} in ${((performance.now() - start) / 1e3).toFixed(0)} s, seed ${seed}`);
  console.log(`${end - first} shapes, ${wrong} wrong`);
  return wrong;
}

function describe({ index, problems, ...what }: FuzzFailure, seed: number, op: string | undefined): string {
  const again = `npm run fuzz -- --seed ${seed} --only ${index}${op === undefined ? "" : ` --op "${op}"`}`;
  return `WRONG ${JSON.stringify(what)}\n  ${problems.join("\n  ")}\n  again: ${again}`;
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0) throw new InvalidArgumentError("must be a whole number of at least 0.");
  return number;
}

const command = new Command("fuzz")
  .description("Tries ops on random shapes, attributes and values: results and gradients against the float64 reference, and no write out of bounds. Both families of kernels take turns. With --files: damaged files, each of which must be read rightly or refused.")
  .option("--count <n>", "shapes to try", wholeNumber, 10_000)
  .option("--seed <n>", "of all randomness", wholeNumber, 1)
  .option("--op <name>", "only this op")
  .option("--only <index>", "only this shape or file of the seed's sequence", wholeNumber)
  .addOption(new Option("--on <adapter>", "where to run").choices(["software", "hardware", "null"]).default("software"))
  .option("--files <n>", "damaged files to try, instead of shapes", wholeNumber)
  .addOption(new Option("--kind <kind>", "only files of this kind").choices(FILE_KINDS))
  .option("--save <path>", "with --files and --only: where to write the file")
  .addHelpText("after", EXAMPLES);

try {
  const options = command.parse().opts<Arguments>();
  const wrong = options.files === undefined ? await fuzz(options) : await fuzzFiles({ ...options, count: options.files });
  process.exitCode = wrong === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof SightlineError)) throw error;
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
