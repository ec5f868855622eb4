import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const BUILT = join(ROOT, "test-artifacts", `package-${process.pid}`);
const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { exports: Record<string, Record<"types" | "browser" | "default", string>> };

beforeAll(() => void execFileSync(process.execPath, ["build.mjs", "--quiet", "--out", BUILT], { cwd: ROOT }));
afterAll(() => rmSync(BUILT, { recursive: true, force: true }));

const builtFile = (path: string): string => path.replace("./dist", BUILT);

test("every subpath is built for Node and for browsers, and has types", () => {
  for (const conditions of Object.values(exports)) {
    expect(readFileSync(join(ROOT, conditions.types), "utf8")).toContain("export");
    for (const path of [conditions.browser, conditions.default]) expect(readFileSync(builtFile(path), "utf8"), path).toContain("export");
  }
});

test("the subpaths share their classes: a model is a module of the engine", async () => {
  const load = (subpath: string): Promise<Record<string, unknown>> => import(builtFile(exports[subpath].default)) as Promise<Record<string, unknown>>;
  const [engine, models, caption, checkpoint, data] = await Promise.all([".", "./models", "./caption", "./checkpoint", "./data"].map(load));
  const Module = engine.Module as abstract new () => object;
  for (const model of [models.ResNet, models.VisionTransformer, models.GPT2LMHeadModel, caption.VisionGPT2]) expect((model as { prototype: unknown }).prototype).toBeInstanceOf(Module);
  for (const name of ["openCheckpoint", "loadInto", "pull", "resolveModel"]) expect(checkpoint[name], name).toBeTypeOf("function");
  for (const name of ["decodeImage", "readImage", "gpt2Tokenizer"]) expect(data[name], name).toBeTypeOf("function");
});

test("nothing of Node is reachable from what browsers load", () => {
  const folder = join(BUILT, "browser");
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".mjs"))) expect(readFileSync(join(folder, file), "utf8"), file).not.toMatch(/(from|import\()\s*"node:/);
});
