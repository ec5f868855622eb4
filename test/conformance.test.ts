import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCaseFile, readModelFolders } from "./conformance/case-files.ts";
import { linesOf, type Finding, type Line, type SuiteEvent } from "./conformance/findings.ts";
import { table, writeReport, type Outcome } from "./conformance/report.ts";
import { chromium } from "./conformance/runners/chromium.ts";
import { isSupported } from "./conformance/torch-ops.ts";

const ROOT = join(import.meta.dirname, "..");
const GOLDEN = join(ROOT, "test", "golden", "ops");
const MODELS = join(ROOT, "test", "golden", "models");

const finding: Finding = { oracle: "pytorch", op: "relu", case: "range", what: "out0", family: "one-thread", storage: "f32", error: 1e-7, tolerance: 1e-5, ok: true };

test("models with PyTorch's weights agree in Chromium", async () => {
  const findings: Finding[] = [];
  const folders = ["vit-timm", "gpt2"].flatMap((name) => readModelFolders(join(MODELS, name)));
  await chromium.run({ job: { families: ["one-thread"], storages: ["f32"], float64: false, filter: "" }, files: { models: folders } }, (event) => {
    if (event.kind === "case") findings.push(...event.findings);
  });
  expect(findings.filter(({ ok }) => !ok)).toEqual([]);
  expect(new Set(findings.map(({ case: name }) => name))).toEqual(new Set(["vit-timm", "gpt2", "gpt2/model-hub-layout.safetensors"]));
  expect(findings.filter(({ what }) => what.startsWith("generate/")).length).toBe(4);
}, 300_000);

test("PyTorch's cases agree in Chromium", async () => {
  const findings: Finding[] = [];
  const events: SuiteEvent["kind"][] = [];
  const files = { ops: readCaseFile(join(GOLDEN, "given.json")), optim: readCaseFile(join(GOLDEN, "optim-given.json")) };
  const version = await chromium.run({ job: { families: ["one-thread"], storages: ["f32"], float64: false, filter: "" }, files }, (event) => {
    events.push(event.kind);
    if (event.kind === "case") findings.push(...event.findings);
  });
  expect(version).toMatch(/Chrome/);
  expect(events[0]).toBe("opened");
  expect(events.at(-1)).toBe("finished");
  const known = findings.filter(({ op }) => op === "optim" || isSupported(op));
  expect(known.length).toBeGreaterThan(190);
  expect(known.filter(({ ok }) => !ok)).toEqual([]);
}, 300_000);

describe("lines", () => {
  test("of several families the worse counts, once", () => {
    expect(linesOf([finding, { ...finding, family: "cooperative", error: 3e-6 }])).toEqual([{ case: "relu/range", what: "out0", error: 3e-6, tolerance: 1e-5, ok: true }]);
    const broken = { ...finding, family: "cooperative", error: null, ok: false, reason: "no such op" } as const;
    expect(linesOf([broken, finding])).toEqual([{ case: "relu/range", what: "out0", error: null, tolerance: 1e-5, ok: false, reason: "no such op (cooperative kernels)" }]);
  });

  test("a wrong shape is worse than a large error within its tolerance", () => {
    const [line] = linesOf([{ ...finding, error: 9e-6 }, { ...finding, error: 1e-7, ok: false, reason: "the shape must be [1]; got []" }]);
    expect(line.ok).toBe(false);
  });
});

describe("report", () => {
  const surroundings = {
    adapter: { kind: "software", vendor: "google", architecture: "swiftshader", description: "SwiftShader", reason: "asked for" },
    features: ["subgroups"],
    limits: { maxStorageBuffersPerShaderStage: 10, maxStorageBufferBindingSize: 2 ** 27, maxComputeWorkgroupStorageSize: 2 ** 14, maxComputeInvocationsPerWorkgroup: 256 },
  } as const;
  const outcome: Outcome = { title: "Node (Dawn)", status: "finished", version: "Node 20", surroundings, seconds: 3, findings: [finding, { ...finding, what: "grad/x", error: 2e-4, ok: false }] };
  const missing: Outcome = { title: "Firefox (wgpu)", status: "not run", reason: "Firefox is not installed", findings: [] };
  const page = writeReport([outcome, missing], { families: ["one-thread"], storages: ["f32"], float64: true, filter: "" }, { command: "npm run conformance -- --all", date: "2026-01-02", version: "1.2.3", commit: "abc" });

  test("says what was run, and what went wrong", () => {
    expect(page).toContain("on 2026-01-02, sightline 1.2.3, commit abc");
    expect(page).toMatch(/\| relu +\| 1 +\| 1e-7 \/ \*\*2e-4\*\* \|/);
    expect(page).toContain("- Firefox (wgpu): not run. Firefox is not installed");
    expect(page).toContain("- relu, range, grad/x (pytorch, one-thread): error 2e-4, allowed 1e-5. On Node (Dawn).");
    expect(page).toMatch(/\| `subgroups` +\| yes/);
    expect(page).toMatch(/\| largest binding +\| 128 MiB/);
  });

  test("models have a table of their own, and pages of models alone say nothing of ops", () => {
    const model = { ...finding, oracle: "model", op: "model", case: "gpt2" } as const;
    const findings = [{ ...model, what: "logits", error: 2e-7 }, { ...model, what: "grad/wte", error: 3e-7 }, { ...model, what: "losses[0..10)", error: 4e-7 }, { ...model, what: "generate/greedy", error: 0 }];
    const models = writeReport([{ ...outcome, findings }], { families: ["one-thread"], storages: ["f32"], float64: false, filter: "" }, { command: "npm run conformance -- --models DIR", date: "2026-01-02", version: "1.2.3", commit: "abc" });
    expect(models).toMatch(/\| gpt2 +\| 2e-7 \/ 3e-7 \/ 4e-7 \/ 0 \|/);
    expect(models).toContain("| models: gradients");
    expect(models).not.toContain("## Against float64");
  });

  test("tables line up", () => {
    expect(table(["a", "b"], [["1", "a | b"], ["longer", "–"]])).toBe(["| a      | b      |", "|--------|--------|", "| 1      | a \\| b |", "| longer | –      |"].join("\n"));
  });
});

describe("command", () => {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  const bundle = join(ROOT, "test-artifacts", `conformance-${process.pid}`);
  beforeAll(() => execFileSync(process.execPath, ["build.mjs", "--quiet", "--out", bundle], { cwd: ROOT }));
  afterAll(() => [folder, bundle].forEach((made) => rmSync(made, { recursive: true, force: true })));

  const run = async (...args: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> => {
    const { INIT_CWD: _, ...env } = process.env;
    const child = spawn(process.execPath, [join(bundle, "conformance.mjs"), ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, stdout, stderr };
  };
  const lines = (stdout: string): (Line & { summary?: Record<string, unknown> })[] => stdout.trim().split("\n").map((line) => JSON.parse(line));
  /** An index beside the tensors of the repository's. */
  const write = (name: string, index: unknown): string => {
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(index));
    copyFileSync(join(GOLDEN, "given.safetensors"), join(folder, `${name}.safetensors`));
    return `${name}.json`;
  };

  test("prints a line for each tensor, and a summary", async () => {
    const file = write("good", [{ op: "relu", case: "range", attrs: {}, inputs: ["x"], outputs: 1, grads: ["x"] }, { op: "mul", case: "broadcast" }]);
    const { code, stdout } = await run("--ops", file, "--variant", "one-thread");
    const printed = lines(stdout);
    expect(printed.map(({ case: name, what }) => [name, what])).toEqual([["relu/range", "out0"], ["relu/range", "grad/x"], ["mul/broadcast", "out0"], ["mul/broadcast", "grad/a"], ["mul/broadcast", "grad/b"], [undefined, undefined]]);
    for (const line of printed.slice(0, -1)) expect(Object.keys(line)).toEqual(["case", "what", "error", "tolerance", "ok"]);
    expect(printed.at(-1)!.summary).toMatchObject({ cases: 2, tensors: 5, passed: 5, failed: 0, casesNotRun: 0 });
    expect(code).toBe(0);
  });

  test("runs a folder of a model, with intermediates, gradients and words", async () => {
    const { code, stdout } = await run("--models", join(MODELS, "vit-hf"), "--variant", "one-thread");
    const printed = lines(stdout);
    expect(printed.slice(0, -1).map(({ case: name, what, ok }) => [name, what, ok])).toEqual([["model/vit-hf", "last_hidden_state", true], ["model/vit-hf", "pooler_output", true]]);
    expect(code).toBe(0);
  });

  test("a case that cannot be run is a line of its own, and the others are run", async () => {
    const file = write("bad", [{ op: "nosuch", case: "a", attrs: {}, inputs: [], outputs: 1, grads: [] }, { op: "matmul", case: "absent" }, { op: "conv2d", case: "b2_c3-8_16x16_k3s1p1d1g1", attrs: { stride: 99, padding: 1, dilation: 1, groups: 1 } }, { op: "relu", case: "range" }]);
    const { code, stdout } = await run("--ops", file, "--variant", "one-thread");
    const printed = lines(stdout);
    expect(printed[0]).toEqual({ case: "nosuch/a", what: "run", error: null, tolerance: 1e-5, ok: false, reason: expect.stringContaining("tensors has none that begin with \"nosuch/a/\"") });
    expect(printed[1]).toMatchObject({ case: "matmul/absent", ok: false, error: null });
    expect(printed.some(({ case: name, ok }) => name?.startsWith("conv2d") && !ok)).toBe(true);
    expect(printed.find(({ case: name, what }) => name === "relu/range" && what === "out0")!.ok).toBe(true);
    expect(code).toBe(1);
  });

  test.each([
    ["a file that is not there", ["--ops", "nowhere.json"], /nowhere\.json: there is no such file/],
    ["a file of another kind", ["--ops", "cases.txt"], /cases\.txt: must be a \.json file/],
    ["a folder that is not there", ["--models", "nowhere"], /nowhere: there is no such folder/],
    ["a folder without models", ["--models", "."], /must hold io\.safetensors and weights, or folders that do; got neither/],
    ["an unknown implementation", ["--on", "safari"], /It must name some of node, chromium, firefox/],
  ])("refuses %s in one line", async (_name, args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect(stdout).toBe("");
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(1);
  });

  test("refuses JSON that is none, and JSON that is no list", async () => {
    write("object", { no: "cases" });
    writeFileSync(join(folder, "broken.json"), "[{");
    expect((await run("--ops", "object.json")).stderr).toMatch(/object\.json: must hold a list of cases/);
    expect((await run("--ops", "broken.json")).stderr).toMatch(/^error: .*broken\.json: must be JSON; got/);
  });
});
