import { headerLength, parseHeader, readSafetensors } from "../../src/checkpoint/safetensors.ts";
import { InputError } from "../../src/core/errors.ts";
import type { HostTensor } from "../../src/core/host-tensor.ts";
import type { CaseFile } from "./findings.ts";
import type { OptimCase } from "./torch-optim.ts";
import type { TorchCase } from "./torch-ops.ts";

const LENGTH_BYTES = 8; // before the header of a safetensors file

/** A case with its tensors, by their names without the case's prefix. */
export interface Loaded<Case> {
  readonly op: string;
  readonly case: string;
  /** Null where the index does not say enough, as `reason` tells. */
  readonly description: Case | null;
  readonly reason?: string;
  readonly tensors: ReadonlyMap<string, HostTensor>;
  /** Whether the file stores a float input in 16 bits. */
  readonly halves: boolean;
}

type Entry = Readonly<Record<string, unknown>>;

/** The entries of an index: a list, or an object that holds it as `cases`. @throws InputError otherwise. */
function entriesOf({ name, index }: CaseFile): Entry[] {
  const list = Array.isArray(index) ? (index as unknown[]) : (index as { cases?: unknown } | null)?.cases;
  if (!Array.isArray(list) || !list.every((entry) => typeof entry === "object" && entry !== null)) {
    throw new InputError(`${name}: must hold a list of cases`, "the format is that of test/golden/ops/given.json");
  }
  return list as Entry[];
}

/** All tensors of a file by the prefix of a case, `op/case/`. */
class Tensors {
  private readonly all: ReadonlyMap<string, HostTensor>;
  private readonly halves: ReadonlySet<string>;

  /** @throws CheckpointError if the file is damaged. */
  constructor({ name, tensors }: CaseFile) {
    const file = `the tensors of ${name}`;
    this.all = readSafetensors(tensors, file).tensors;
    const length = headerLength(tensors, tensors.length, file);
    const { tensors: entries } = parseHeader(tensors.subarray(LENGTH_BYTES, LENGTH_BYTES + length), tensors.length, file);
    this.halves = new Set([...entries].flatMap(([key, { dtype }]) => (dtype === "F16" ? [key] : [])));
  }

  below(prefix: string): { tensors: Map<string, HostTensor>; halves: boolean } {
    const own = [...this.all].filter(([key]) => key.startsWith(prefix));
    return {
      tensors: new Map(own.map(([key, tensor]) => [key.slice(prefix.length), tensor])),
      halves: own.some(([key]) => key.startsWith(`${prefix}in/`) && this.halves.has(key)),
    };
  }
}

function stringsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.map(String) : undefined;
}

function numbersOf(value: unknown): number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

function attributesOf(value: unknown): Entry {
  return typeof value === "object" && value !== null ? (value as Entry) : {};
}

/** The names after a prefix. */
function named(tensors: ReadonlyMap<string, HostTensor>, prefix: string): string[] {
  return [...tensors.keys()].flatMap((key) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []));
}

/**
 * The op cases of a file; what an entry leaves out is taken from the names of its tensors.
 * @throws InputError or CheckpointError if the file as a whole cannot be used.
 */
export function loadTorchCases(file: CaseFile): Loaded<TorchCase>[] {
  const all = new Tensors(file);
  return entriesOf(file).map((entry, i) => {
    const [op, name] = [String(entry.op ?? "unnamed"), String(entry.case ?? i)];
    const { tensors, halves } = all.below(`${op}/${name}/`);
    const loaded = { op, case: name, tensors, halves };
    if (tensors.size === 0) return { ...loaded, description: null, reason: `the file of tensors has none that begin with "${op}/${name}/"` };
    const outputs = typeof entry.outputs === "number" ? entry.outputs : named(tensors, "out").length;
    const inputs = stringsOf(entry.inputs) ?? named(tensors, "in/");
    const grads = stringsOf(entry.grads) ?? named(tensors, "grad/");
    return { ...loaded, description: { op, case: name, attrs: attributesOf(entry.attrs), inputs, outputs, grads } };
  });
}

/**
 * The optimiser trails of a file.
 * @throws InputError or CheckpointError if the file as a whole cannot be used.
 */
export function loadOptimCases(file: CaseFile): Loaded<OptimCase>[] {
  const all = new Tensors(file);
  return entriesOf(file).map((entry, i) => {
    const name = String(entry.name ?? i);
    const { tensors, halves } = all.below(`${name}/`);
    const description = { name, attrs: attributesOf(entry.attrs), losses: numbersOf(entry.losses), lrs: numbersOf(entry.lrs), grad_norms: numbersOf(entry.grad_norms) };
    const loaded = { op: "optim", case: name, tensors, halves };
    return description.losses.length === 0 ? { ...loaded, description: null, reason: "the index must hold the losses of its steps" } : { ...loaded, description };
  });
}
