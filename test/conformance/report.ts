/** docs/conformance.md: what the suite found, for people who have never seen this project. */

import type { AdapterSummary } from "../../src/device/adapter.ts";
import { ALL_CASES } from "../ops/index.ts";
import type { FloatStorage } from "../ops/measure.ts";
import type { Finding, Oracle, SuiteJob, Surroundings } from "./findings.ts";
import { MODEL_TOLERANCES } from "./model-measure.ts";
import { TORCH_TOLERANCES } from "./torch-measure.ts";

/** What came of one implementation. */
export interface Outcome {
  readonly title: string;
  readonly status: "finished" | "failed" | "not run";
  /** Why it did not finish. */
  readonly reason?: string;
  readonly version?: string;
  readonly surroundings?: Surroundings;
  readonly seconds?: number;
  readonly findings: readonly Finding[];
}

/** When and of what the report is. */
export interface Provenance {
  /** What was typed. */
  readonly command: string;
  readonly date: string;
  readonly version: string;
  readonly commit: string;
}

const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;
const LIMITS = [
  ["maxStorageBuffersPerShaderStage", "storage buffers a kernel", 1, ""],
  ["maxStorageBufferBindingSize", "largest binding", 2 ** 20, " MiB"],
  ["maxComputeWorkgroupStorageSize", "workgroup memory", 2 ** 10, " KiB"],
  ["maxComputeInvocationsPerWorkgroup", "threads a workgroup", 1, ""],
] as const;
const MOST_WRONG = 50; // tensors that are listed one by one

const MODEL_PARTS: Record<keyof typeof MODEL_TOLERANCES, string> = {
  forward: "outputs and intermediates",
  gradient: "gradients",
  zeroGradient: "gradients that are zero",
  losses: "losses of training",
  lateLosses: "losses of training with batch norm, from the fourth on",
  probability: "probabilities of classes, from picture files",
  same: "words, and other files of the same weights",
};

/** The whole page. */
export function writeReport(outcomes: readonly Outcome[], job: SuiteJob, { command, date, version, commit }: Provenance): string {
  const ran = outcomes.filter(({ findings }) => findings.length > 0);
  const half = ran.some(({ findings }) => findings.some(({ storage }) => storage === "f16"));
  const models = ran.some(({ findings }) => findings.some(({ oracle }) => oracle === "model"));
  const ops = ran.some(({ findings }) => findings.some(({ oracle }) => oracle !== "model"));
  return [
    "# Conformance",
    `Written by \`${command}\` on ${date}, sightline ${version}, commit ${commit}. Do not edit: run the command again.`,
    `sightline computes on the GPU through WebGPU, which every browser and runtime implements in its own way: Chrome, Edge and the npm package \`webgpu\` by Dawn,
Firefox and Deno by wgpu. This page says how far its results are off on each of them.${ops ? ` They are compared with two independent oracles: **PyTorch**'s
results, stored in \`test/golden/ops\`, and plain loops in **float64** that share nothing with the GPU code (\`test/ops\`).` : ""}`,
    `An error is ‖result − reference‖ / ‖reference‖ over a whole tensor, and each number below is the largest over all tensors of a kind${job.families.length > 1 ? `, and over both families of
kernels (one in which the threads of a workgroup work together, for GPUs; one in which each thread works alone, for adapters that compute on the CPU)` : ""}. ${ops ? "Cells\nhold *forward / gradient*; " : ""}${"`–`"} means that there is none. What is beyond its tolerance is **bold**. A computation in f32 has about seven digits: 1e-7.`,
    "## Summary",
    summary(outcomes),
    ...(models ? modelSections(ran) : []),
    ...(ops ? opSections(ran) : []),
    ...(half ? halfSections(ran) : []),
    "## Tolerances, and why they are as large as they are",
    toleranceTable({ models, ops, half }),
    "## What the adapters offer",
    adapterTable(ran),
    "## Wrong, or not supported",
    problems(outcomes),
  ].join("\n\n").concat("\n");
}

function opSections(ran: readonly Outcome[]): string[] {
  return [
    "## Against PyTorch",
    errorTable("operation", ran, "pytorch", "f32"),
    "## Optimisers and schedules, against PyTorch",
    "Ten steps on a small regression. Cells hold the error of the *weights / losses* after them.",
    optimizerTable(ran),
    "## Against float64",
    "Odd sizes, sizes of 1, large and tiny values, and NaN and Inf where they matter. Gradients are held against finite differences of the float64 reference. Every tensor lies between sentinels: a write outside its bounds would be listed as wrong.",
    errorTable("operation", ran, "float64", "f32"),
  ];
}

const isWords = ({ what }: Finding): boolean => what.startsWith("generate/") || what === "weights";
const isLosses = ({ what }: Finding): boolean => what.startsWith("losses");

/** One row for each file of weights. */
function modelSections(ran: readonly Outcome[]): string[] {
  const own = ran.map((outcome) => ({ ...outcome, findings: outcome.findings.filter(({ oracle }) => oracle === "model") }));
  const names = [...new Set(own.flatMap(({ findings }) => findings.map(({ case: name }) => name)))];
  const isOutput = (finding: Finding): boolean => ![isGradient, isWords, isLosses].some((is) => is(finding));
  return [
    "## Models, against PyTorch",
    `Small models with random weights in the layouts of torchvision, timm and Hugging Face. Cells hold the errors of *outputs and intermediates / gradients / losses of
ten training steps / generated words*; the last is 0 where every word is the same. A second file of the same weights is loaded and compared with the first alone.`,
    table(
      ["model", ...own.map(({ title }) => title)],
      names.map((name) => [name, ...own.map(({ findings }) => cell(findings.filter((finding) => finding.case === name), isOutput, isGradient, isLosses, isWords))]),
    ),
  ];
}

function summary(outcomes: readonly Outcome[]): string {
  return table(
    ["implementation", "version", "adapter", "tensors", "wrong", "cases not run", "time"],
    outcomes.map(({ title, status, version, surroundings, findings, seconds, reason }) => {
      if (findings.length === 0) return [title, status, reason ?? "", "", "", "", ""];
      const compared = findings.filter(({ what }) => what !== "run");
      const wrong = compared.filter(({ ok }) => !ok).length;
      const notRun = new Set(findings.filter(({ what }) => what === "run").map(({ oracle, op, case: name }) => `${oracle} ${op}/${name}`)).size;
      const adapter = surroundings === undefined ? "" : adapterName(surroundings.adapter);
      return [title, version ?? `ended early: ${reason ?? ""}`, adapter, String(compared.length), strongIf(wrong > 0, String(wrong)), strongIf(notRun > 0, String(notRun)), `${Math.round(seconds ?? 0)} s`];
    }),
  );
}

/** wgpu gives a maker's number where Dawn gives its name. */
function adapterName({ description, vendor, architecture }: AdapterSummary): string {
  const maker = [vendor, architecture].filter((text) => /[a-z]/i.test(text)).join(" ");
  return maker === "" ? description : `${description} (${maker})`;
}

/** One row for each op: the largest forward and gradient error on each implementation. */
function errorTable(head: string, ran: readonly Outcome[], oracle: Oracle, storage: FloatStorage): string {
  const own = ran.map((outcome) => ({ ...outcome, findings: outcome.findings.filter((finding) => finding.oracle === oracle && finding.storage === storage) }));
  const ops = [...new Set(own.flatMap(({ findings }) => findings.map(({ op }) => op)))].toSorted((a, b) => a.localeCompare(b, "en"));
  if (ops.length === 0) return "Not run this time.";
  return table(
    [head, "cases", ...own.map(({ title }) => title)],
    ops.map((op) => {
      const found = own.map(({ findings }) => findings.filter((finding) => finding.op === op));
      const cases = Math.max(...found.map((findings) => new Set(findings.map(({ case: name }) => name)).size));
      return [op, String(cases), ...found.map((findings) => cell(findings, isForward, isGradient))];
    }),
  );
}

function optimizerTable(ran: readonly Outcome[]): string {
  const own = ran.map((outcome) => ({ ...outcome, findings: outcome.findings.filter(({ oracle }) => oracle === "optimizer") }));
  const names = [...new Set(own.flatMap(({ findings }) => findings.map(({ case: name }) => name)))].toSorted();
  if (names.length === 0) return "Not run this time.";
  return table(
    ["trail", ...own.map(({ title }) => title)],
    names.map((name) => [name, ...own.map(({ findings }) => cell(findings.filter((finding) => finding.case === name), ({ what }) => /^[wb]\d/.test(what), ({ what }) => !/^[wb]\d/.test(what)))]),
  );
}

function halfSections(ran: readonly Outcome[]): string[] {
  const emulated = ran.filter(({ surroundings }) => surroundings?.features.includes("shader-f16") === false).map(({ title }) => title);
  const note = emulated.length === 0 ? "" : ` The adapters of ${emulated.join(", ")} have no \`shader-f16\`: there, f16 is emulated by rounding.`;
  return [
    "## Float tensors stored in f16",
    `The same cases with all float inputs, outputs and gradients stored in f16; sums are still computed in f32. Against float64, the reference is computed from the
rounded inputs. Against PyTorch, the rounding of the inputs counts as error; only where that alone is too much (\`layer_norm/large_mean\`: a mean of 10⁴ leaves no
digits for a spread of 1) is f16 held against f32 from the same rounded inputs. Left out are cases that f16 cannot hold: values beyond 65,504, or inputs whose
rounding changes the result by a tenth.${note}`,
    "### Against PyTorch, f16",
    errorTable("operation", ran, "pytorch", "f16"),
    "### Against float64, f16",
    errorTable("operation", ran, "float64", "f16"),
  ];
}

const isForward = ({ what }: Finding): boolean => what.startsWith("out");
const isGradient = ({ what }: Finding): boolean => what.startsWith("grad");

/** `1.2e-7 / 3.4e-7`: the largest error of each of two kinds. */
function cell(findings: readonly Finding[], ...kinds: readonly ((finding: Finding) => boolean)[]): string {
  if (findings.length === 0) return "–";
  if (findings.every(({ what }) => what === "run")) return "**not run**";
  const parts = kinds.map((isKind) => {
    const own = findings.filter(isKind);
    if (own.length === 0) return "–";
    const worst = own.some(({ error }) => error === null) ? "∞" : showError(Math.max(...own.map(({ error }) => error!)));
    return strongIf(own.some(({ ok }) => !ok), worst);
  });
  const others = findings.filter(({ what, ok }) => (what === "run" || what === "bounds") && !ok);
  return `${parts.join(" / ")}${others.length === 0 ? "" : ` **${others[0].what === "run" ? "some not run" : "out of bounds"}**`}`;
}

function toleranceTable({ models, ops, half }: { readonly models: boolean; readonly ops: boolean; readonly half: boolean }): string {
  const { plain, recurrence, longConvolution, optimizer, rates, f16 } = TORCH_TOLERANCES;
  const torch: [string, { error: number; reason: string }][] = [
    ["PyTorch: all, except", plain],
    ["PyTorch: LSTM, GRU, RNN", recurrence],
    ["PyTorch: long convolutions", longConvolution],
    ["PyTorch: optimisers", optimizer],
    ["PyTorch: learning rates", rates],
    ...(half ? [["all in f16", f16] as [string, typeof f16]] : []),
  ];
  const own = ops ? [...ALL_CASES].toSorted((a, b) => a.name.localeCompare(b.name, "en")) : [];
  const ofModels = models ? Object.entries(MODEL_TOLERANCES) : [];
  return table(
    ["what", "forward / gradient", "because of"],
    [
      ...ofModels.map(([what, { error, reason }]) => [`models: ${MODEL_PARTS[what as keyof typeof MODEL_TOLERANCES]}`, showError(error), reason]),
      ...(ops ? torch : []).map(([what, { error, reason }]) => [what, `${showError(error)} / ${showError(error)}`, reason]),
      ...own.map(({ name, tolerance: { forward, gradient, reason } }) => [name, `${showError(forward)} / ${showError(gradient)}`, reason]),
    ],
  );
}

function adapterTable(ran: readonly Outcome[]): string {
  return table(
    ["", ...ran.map(({ title }) => title)],
    [
      ...FEATURES.map((feature) => [`\`${feature}\``, ...ran.map(({ surroundings }) => (surroundings?.features.includes(feature) === true ? "yes" : "no"))]),
      ...LIMITS.map(([limit, name, unit, suffix]) => [name, ...ran.map(({ surroundings }) => `${Math.floor((surroundings?.limits[limit] ?? 0) / unit).toLocaleString("en")}${suffix}`)]),
    ],
  );
}

/** What is not as it should be: cases that could not be run by their reason, then tensors. */
function problems(outcomes: readonly Outcome[]): string {
  const lines = outcomes.flatMap(({ title, status, reason }) => (status === "finished" ? [] : [`- ${title}: ${status}. ${oneLine(reason ?? "")}`]));
  const where = new Map<string, Set<string>>();
  for (const { title, findings } of outcomes) {
    for (const { oracle, op, case: name, what, storage, error, tolerance, ok, reason, family } of findings) {
      if (ok) continue;
      const subject = what === "run" ? op : `${op}, ${name}, ${what}`;
      const saying = error === null ? (reason ?? "") : `error ${showError(error)}, allowed ${showError(tolerance)}${reason === undefined ? "" : `; ${reason}`}`;
      const line = `${subject} (${oracle}${storage === "f16" ? ", f16" : ""}${what === "run" ? "" : `, ${family}`}): ${oneLine(saying)}`;
      where.set(line, (where.get(line) ?? new Set()).add(title));
    }
  }
  const listed = [...where].slice(0, MOST_WRONG).map(([line, titles]) => `- ${line}. On ${titles.size === outcomes.length ? "all" : [...titles].join(", ")}.`);
  const rest = where.size > MOST_WRONG ? [`- … and ${where.size - MOST_WRONG} more`] : [];
  return lines.length + listed.length === 0 ? "Nothing." : [...lines, ...listed, ...rest].join("\n");
}

/** A table in Markdown whose columns also line up in the text itself. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((text) => text.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(3, ...cells.map((row) => [...row[column]].length)));
  const line = (row: readonly string[]): string => `| ${row.map((text, column) => text + " ".repeat(widths[column] - [...text].length)).join(" | ")} |`;
  return [line(cells[0]), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...cells.slice(1).map(line)].join("\n");
}

function showError(error: number): string {
  return error === 0 ? "0" : error.toExponential(1).replace(".0e", "e");
}

function strongIf(condition: boolean, text: string): string {
  return condition ? `**${text}**` : text;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").slice(0, 300);
}
