/** What the conformance suite finds, and the messages by which it is told, from whatever runs it. */

import type { AdapterSummary } from "../../src/device/adapter.ts";
import type { FloatStorage } from "../ops/measure.ts";

/** The two families of kernels: threads of a workgroup that work together, or one thread that does the whole job. */
export type Family = "one-thread" | "cooperative";

export const FAMILIES: readonly Family[] = ["one-thread", "cooperative"];

/** What a result is compared with: PyTorch's ops, its optimisers, whole models in it, or plain loops in float64. */
export type Oracle = "pytorch" | "optimizer" | "model" | "float64";

/** One tensor compared, or one case that could not be run. */
export interface Finding {
  readonly oracle: Oracle;
  readonly op: string;
  readonly case: string;
  /** `out0` …, `grad/x`, `w10`, `losses` …; `run` where the case could not be run. */
  readonly what: string;
  readonly family: Family;
  readonly storage: FloatStorage;
  /** Relative error; null where there is none, and `reason` says why. */
  readonly error: number | null;
  readonly tolerance: number;
  readonly ok: boolean;
  readonly reason?: string;
}

/** What a suite ran on. */
export interface Surroundings {
  readonly adapter: AdapterSummary;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** A message of a running suite. */
export type SuiteEvent =
  | { readonly kind: "opened"; readonly surroundings: Surroundings }
  /** One case, by all families. */
  | { readonly kind: "case"; readonly findings: readonly Finding[]; readonly done: number; readonly total: number }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "finished" };

/** What a suite shall run; plain JSON. */
export interface SuiteJob {
  readonly families: readonly Family[];
  readonly storages: readonly FloatStorage[];
  /** Whether the ops are held against float64, with the samples of `test/ops`. */
  readonly float64: boolean;
  /** Only cases with this text in "op/case". */
  readonly filter: string;
}

/** Cases of PyTorch: the index, and the bytes of the safetensors file beside it. */
export interface CaseFile {
  readonly name: string;
  readonly index: unknown;
  readonly tensors: Uint8Array;
}

/** A folder of a model: weights in any published format, what PyTorch computes with them, and sizes. */
export interface ModelFolder {
  readonly name: string;
  /** JSON files by their names. */
  readonly json: Readonly<Record<string, unknown>>;
  /** All other files by their names. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** The fields of a JSON object; none of anything else. */
export function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** The likeliest classes of pictures with their probabilities, by the pictures' names, where a folder's `expected.json` tells them. */
export function expectedClasses({ json }: Pick<ModelFolder, "json">): Readonly<Record<string, readonly (readonly [id: number, probability: number])[]>> {
  const { top3 = {} } = (json["expected.json"] ?? {}) as { readonly top3?: Record<string, [number, number][]> };
  return top3;
}

/** Files of cases that a suite is given. */
export interface SuiteFiles {
  readonly models?: readonly ModelFolder[];
  readonly ops?: CaseFile;
  readonly optim?: CaseFile;
}

/** One line of the command's output. */
export interface Line {
  readonly case: string;
  readonly what: string;
  readonly error: number | null;
  readonly tolerance: number;
  readonly ok: boolean;
  readonly reason?: string;
}

/** One line for each tensor of a case: of several families and storages, the one that is furthest off. */
export function linesOf(findings: readonly Finding[]): Line[] {
  const worst = new Map<string, Finding>();
  for (const finding of findings) {
    const before = worst.get(finding.what);
    if (before === undefined || excess(finding) > excess(before)) worst.set(finding.what, finding);
  }
  const several = new Set(findings.map(({ family }) => family)).size > 1;
  return [...worst.values()].map(({ op, case: name, what, family, error, tolerance, ok, reason }) => {
    const line = { case: `${op}/${name}`, what, error, tolerance, ok };
    return reason === undefined ? line : { ...line, reason: several ? `${reason} (${family} kernels)` : reason };
  });
}

/** How far a finding is off, in tolerances; above 1 is wrong. */
function excess({ error, tolerance, ok }: Finding): number {
  if (error === null) return Infinity;
  return ok ? Math.min(1, error / Math.max(tolerance, Number.MIN_VALUE)) : 1 + error;
}
