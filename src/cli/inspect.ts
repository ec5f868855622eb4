import { openCheckpoint } from "../checkpoint/files.ts";
import { recogniseLayouts } from "../checkpoint/layouts.ts";
import { partsOf, type CheckpointReader } from "../checkpoint/reader.ts";
import { hostDTypeOf, storedBytes } from "../checkpoint/stored.ts";
import type { TorchReader } from "../checkpoint/torch/file.ts";
import { printable } from "../core/errors.ts";
import { sizeOf } from "../core/shape.ts";
import { byteSize, counted, significant, table, thousands } from "../core/format.ts";
import { plainJson, showValue } from "./pickle-format.ts";
import { Progress } from "./progress.ts";
import { print } from "./terminal.ts";

export interface InspectOptions {
  readonly json?: boolean;
  readonly values?: boolean;
}

const MAX_TEXT = 100; // characters of a value in the metadata

/** Columns of the table that hold numbers: bytes, min, max, mean, NaN. */
const NUMBERS = [3, 4, 5, 6, 7];

/** What the values of a tensor are like; `nan` counts those that are no number. */
interface Statistics {
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly nan: number;
}

/** `sightline inspect`: what a checkpoint holds, whatever its format. */
export async function inspect(path: string, { json = false, values = false }: InspectOptions): Promise<number> {
  const reader = await openCheckpoint(path);
  try {
    const statistics = values ? await allStatistics(reader) : undefined;
    if (json) print(JSON.stringify(summary(reader, statistics)));
    else show(reader, statistics);
    return 0;
  } finally {
    await reader.close();
  }
}

/** Goes over all values; those of integers and floats alike. */
async function allStatistics(reader: CheckpointReader): Promise<Map<string, Statistics>> {
  const progress = new Progress(process.stderr);
  const all = new Map<string, Statistics>();
  const total = sum([...reader.tensors.values()].map(storedBytes));
  let done = 0;
  try {
    for (const [name, tensor] of reader.tensors) {
      all.set(name, await statisticsOf(reader, name));
      done += storedBytes(tensor);
      progress.update("reading", done, total, byteSize(done));
    }
  } finally {
    progress.stop();
  }
  return all;
}

async function statisticsOf(reader: CheckpointReader, name: string): Promise<Statistics> {
  let [min, max, total, count, nan] = [Infinity, -Infinity, 0, 0, 0];
  for await (const [, part] of partsOf(reader, name)) {
    for (const value of part) {
      if (Number.isNaN(value)) {
        nan++;
        continue;
      }
      if (value < min) min = value;
      if (value > max) max = value;
      total += value;
      count++;
    }
  }
  return count === 0 ? { min: null, max: null, mean: null, nan } : { min, max, mean: total / count, nan };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The file as one object, for programs. */
function summary(reader: CheckpointReader | TorchReader, statistics?: ReadonlyMap<string, Statistics>): unknown {
  return {
    file: reader.file,
    format: reader.format,
    metadata: reader.metadata,
    layouts: recogniseLayouts(reader.tensors.keys()).map(({ layout, prefix }) => ({ name: layout.name, prefix })),
    tensors: [...reader.tensors].map(([name, tensor]) => ({ name, dtype: tensor.dtype, shape: tensor.shape, bytes: storedBytes(tensor), ...statistics?.get(name) })),
    ...("values" in reader ? { values: plainJson(reader.values) } : {}),
  };
}

function show(reader: CheckpointReader | TorchReader, statistics?: ReadonlyMap<string, Statistics>): void {
  const tensors = [...reader.tensors];
  const bytes = sum(tensors.map(([, tensor]) => storedBytes(tensor)));
  const parameters = sum(tensors.filter(([, { dtype }]) => hostDTypeOf(dtype) === "f32").map(([, { shape }]) => sizeOf(shape)));
  const layouts = recogniseLayouts(reader.tensors.keys()).map(({ layout, prefix }) => (prefix === "" ? layout.name : `${layout.name} under ${printable(prefix)}`));
  print(reader.file);
  print(`  format   ${reader.format}`);
  print(`  layout   ${layouts.length === 0 ? "none that is known" : layouts.join(", ")}`);
  print(`  tensors  ${thousands(tensors.length)}, with ${counted(parameters, "parameter")} in ${byteSize(bytes)}`);
  section("metadata", Object.entries(reader.metadata).map(([key, value]) => [printable(key), cut(value)]));
  if ("values" in reader) section("beside the tensors", showValue(reader.values).map(([key, value]) => [printable(key), cut(value)]));
  if (tensors.length === 0) return;
  print();
  const rows = tensors.map(([name, tensor]) => [printable(name), tensor.dtype, `[${tensor.shape.join(", ")}]`, thousands(storedBytes(tensor)), ...(statistics === undefined ? [] : statisticCells(statistics.get(name)!))]);
  for (const line of table([["tensor", "dtype", "shape", "bytes", ...(statistics === undefined ? [] : ["min", "max", "mean", "NaN"])], ...rows], NUMBERS)) print(line);
}

function statisticCells({ min, max, mean, nan }: Statistics): string[] {
  return [...[min, max, mean].map((value) => (value === null ? "-" : significant(value))), thousands(nan)];
}

function section(title: string, rows: readonly (readonly [string, string])[]): void {
  if (rows.length === 0) return;
  print();
  print(title);
  for (const line of table(rows)) print(`  ${line}`);
}

function cut(text: string): string {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > MAX_TEXT ? `${line.slice(0, MAX_TEXT)}… (${thousands(text.length)} characters)` : line;
}
