import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { build as esbuild } from "esbuild";
import type { Browser } from "puppeteer-core";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBrowser, serve, type Pages } from "./browser.ts";
import { exportsOf, packedPackage, type Packed } from "./bundles/packed.ts";

const MEGABYTE = 2 ** 20;
const WEIGHTS = "weights/cross-scenes.safetensors";

/** What `test/bundles/consumer.js` computes. */
interface Numbers {
  readonly losses: readonly number[];
  readonly texts: readonly string[];
  readonly bleu: number;
  readonly layers: readonly number[];
}

declare const onPage: (weights: string) => Promise<Numbers>;
declare const inWorker: (weights: string) => Promise<Numbers>;

let packed: Packed;
let subpaths: Record<string, Record<string, unknown>>;
let inNode: Numbers;
beforeAll(async () => {
  packed = packedPackage();
  const inProgram = async <Module>(name: string): Promise<Module> => (await import(pathToFileURL(join(packed.program, name)).href)) as Module;
  const names = Object.keys(exportsOf(packed));
  writeFileSync(join(packed.program, "subpaths.js"), names.map((name, i) => `export * as subpath${i} from "${name.replace(".", "sightline")}";\n`).join(""));
  const loaded = await inProgram<Record<string, Record<string, unknown>>>("subpaths.js");
  subpaths = Object.fromEntries(names.map((name, i) => [name, loaded[`subpath${i}`]]));
  inNode = await (await inProgram<{ numbers(weights: Uint8Array): Promise<Numbers> }>("consumer.js")).numbers(readFileSync(WEIGHTS));
}, 300_000);
afterAll(() => packed?.remove());

test("the subpaths are the agreed ones, and every file that they name is there", () => {
  expect(Object.keys(subpaths)).toEqual([".", "./nn", "./models", "./caption", "./train", "./checkpoint", "./data", "./metrics", "./web"]);
  const paths = Object.values(exportsOf(packed)).flatMap((conditions) => Object.values(conditions).flatMap((value) => (typeof value === "string" ? [value] : Object.values(value))));
  expect(paths.filter((path) => !packed.files.has(path.replace("./", "")))).toEqual([]);
});

test("no name is exported from two subpaths", () => {
  const places = new Map<string, string[]>();
  for (const [subpath, names] of Object.entries(subpaths)) for (const name of Object.keys(names)) places.set(name, [...(places.get(name) ?? []), subpath]);
  expect([...places].filter(([, where]) => where.length > 1)).toEqual([]);
});

test("names stand where people look for them", () => {
  const looked: Record<string, readonly string[]> = {
    ".": ["requestDevice", "tensor", "recorded", "matmul", "conv2d", "attention", "crossEntropy", "autocast", "noGrad", "Generator", "defineOp", "ShapeError"],
    "./nn": ["Module", "Parameter", "Linear", "Conv2d", "LSTM", "GRU", "lstm", "addLoRA", "mergeLoRA", "quantizeModule", "cachedAttention", "kaimingFanOut"],
    "./models": ["ResNet", "VisionTransformer", "GPT2LMHeadModel", "RecurrentDecoder"],
    "./caption": ["Captioner", "trainCaptioner", "prepareCaptioner", "recipeFor", "findPictures", "openPictures", "resumableRun", "evaluate", "loadPublished", "beamDecoder", "sample"],
    "./train": ["AdamW", "SGD", "Muon", "LossScaler", "warmupCosine", "audit"],
    "./checkpoint": ["openCheckpoint", "loadInto", "readSafetensors", "writeSafetensors", "loadSafetensors", "pull", "resolveModel"],
    "./data": ["FileListFolder", "openDatasetIn", "decodeImage", "readImage", "preprocess", "gpt2Tokenizer", "sceneSource", "Vocabulary"],
    "./metrics": ["bleu", "cider", "meteor", "rougeL"],
    "./web": ["describe", "defineSightLine"],
  };
  for (const [subpath, names] of Object.entries(looked)) expect(names.filter((name) => subpaths[subpath][name] === undefined), subpath).toEqual([]);
});

test("errors are there, and what makes their messages is not", () => {
  expect(Object.keys(subpaths["."]).filter((name) => name === "printable" || name === "shown" || name === "FieldError")).toEqual([]);
});

test("the subpaths share their classes: a model is a module, and an optimiser takes its parameters", () => {
  const Module = subpaths["./nn"].Module as abstract new () => object;
  const { ResNet, VisionTransformer, GPT2LMHeadModel } = subpaths["./models"];
  for (const model of [ResNet, VisionTransformer, GPT2LMHeadModel, subpaths["./caption"].VisionGPT2]) expect((model as { prototype: unknown }).prototype).toBeInstanceOf(Module);
  const { SightlineError, CheckpointError } = subpaths["."] as Record<string, new (message: string) => Error>;
  expect(new CheckpointError("damaged")).toBeInstanceOf(SightlineError);
  expect(() => (subpaths["./checkpoint"].readSafetensors as (bytes: Uint8Array, name: string) => unknown)(new Uint8Array(3), "x")).toThrow(CheckpointError);
});

const PROGRAM = `import { matmul, requestDevice, tensor, ShapeError, type Device, type Tensor } from "sightline";
import { Linear, type Module } from "sightline/nn";
import { ResNet, RESNET } from "sightline/models";
import { Captioner, trainCaptioner, type Recipe } from "sightline/caption";
import { AdamW } from "sightline/train";
import { readSafetensors } from "sightline/checkpoint";
import { decodeImage, type Image } from "sightline/data";
import { bleu } from "sightline/metrics";
import { describe } from "sightline/web";
export const all: readonly unknown[] = [ResNet, RESNET, Captioner, trainCaptioner, AdamW, readSafetensors, bleu, describe, Linear, ShapeError];
export const steps = (recipe: Recipe): number => recipe.training.epochs;
export const picture = (bytes: Uint8Array): Image => decodeImage(bytes, "picture");
export async function product(module: Module): Promise<number> {
  const device: Device = await requestDevice();
  const x: Tensor = tensor(device, new Float32Array(4), [2, 2]);
  await module.stateDict();
  return (await matmul(x, x).read())[0]!;
}
// @ts-expect-error: a shape is made of numbers, and what is imported is no \`any\`
export const wrong = (x: Tensor): Tensor => x.view("2x2");
`;

test.each([
  ["a bundler's program", { module: "esnext", moduleResolution: "bundler", customConditions: ["browser"] }, ""],
  ["a Node program", { module: "nodenext", moduleResolution: "nodenext" }, 'import { loadSafetensors } from "sightline/checkpoint";\nexport const load: (path: string) => Promise<unknown> = loadSafetensors;\n'],
])("%s is checked against the package's own types, under settings of its own", (name, resolution, more) => {
  const folder = packed.program;
  const compilerOptions = { ...resolution, target: "es2022", lib: ["es2022", "dom"], types: [], strict: true, noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  writeFileSync(join(folder, "program.ts"), PROGRAM + more);
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }));
  let problems = "";
  try {
    execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", folder], { encoding: "utf8" });
  } catch (error) {
    problems = (error as { stdout: string }).stdout;
  }
  expect(problems, name).toBe("");
});

test("the package holds what its users need, and nothing else", () => {
  const allowed = [/^(package\.json|README\.md|LICENSE)$/, /^docs\/[\w-]+\.md$/, /^weights\/[\w-]+\.(safetensors|md|json)$/, /^dist\/(browser\/)?([\w-]+\.mjs|wordnet-synonyms\.gz|WORDNET-LICENSE)$/, /^dist\/demo\/[\w.-]+$/, /^dist\/types\/[\w/-]+\.d\.ts$/];
  expect([...packed.files.keys()].filter((path) => !allowed.some((pattern) => pattern.test(path)))).toEqual([]);
  expect([...packed.files.keys()].filter((path) => /\.map$|^dist\/(bench|conformance|fuzz)/.test(path))).toEqual([]);
  for (const path of ["dist/cli.mjs", "dist/browser/captioner-worker.mjs", "dist/browser/sight-line.mjs", "dist/browser/gpt2-merges.mjs", "dist/demo/index.html", "weights/manifest.json", "weights/cross-scenes.safetensors", "README.md", "LICENSE"]) {
    expect(packed.files.has(path), path).toBe(true);
  }
  const unpacked = [...packed.files.values()].reduce((sum, size) => sum + size, 0);
  expect(packed.size / MEGABYTE).toBeLessThan(8); // 4 of it are the weights of five captioners
  expect(unpacked / MEGABYTE).toBeLessThan(15);
});

const BUNDLERS = {
  esbuild: async (outdir: string): Promise<void> => {
    const entryPoints = ["page.js", "worker.js"].map((name) => join(packed.program, name));
    await esbuild({ entryPoints, outdir, bundle: true, minify: true, splitting: true, format: "esm", logLevel: "error" });
  },
  Vite: async (outDir: string): Promise<void> => {
    const input = ["page.js", "worker.js"].map((name) => join(packed.program, name));
    await vite({ root: packed.program, configFile: false, logLevel: "error", build: { outDir, modulePreload: false, rollupOptions: { input, output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" } } } });
  },
};

describe.each(Object.entries(BUNDLERS))("bundled with %s", (name, bundle) => {
  let out: string;
  let browser: Browser;
  beforeAll(async () => {
    out = join(packed.program, `out-${name}`);
    [browser] = await Promise.all([openBrowser(), bundle(out)]);
  });
  afterAll(() => browser?.close());

  const texts = (): string[] => readdirSync(out).filter((file) => file.endsWith(".js")).map((file) => readFileSync(join(out, file), "utf8"));

  test("there is nothing of Node, no wasm and no shared memory in it", () => {
    expect(texts().length).toBeGreaterThanOrEqual(2);
    for (const text of texts()) {
      expect(text).not.toMatch(/["'`]node:|\brequire\(|process\.(env|platform)|WebAssembly|\.wasm\b|SharedArrayBuffer/);
    }
  });

  test("it computes on a page and in a module worker what it computes in Node, without headers for isolation", async () => {
    const files = Object.fromEntries(readdirSync(out).map((file) => [`/${file}`, { type: "text/javascript", body: readFileSync(join(out, file)) }]));
    const pages: Pages = {
      "/": { type: "text/html", body: '<!doctype html><title>test</title><link rel="icon" href="data:,"><script type="module" src="page.js"></script>' },
      "/weights": { type: "application/octet-stream", body: readFileSync(WEIGHTS) },
      ...files,
    };
    const { origin, server } = await serve(pages);
    try {
      const page = await browser.newPage();
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(String(error)));
      await page.goto(origin);
      await page.waitForFunction(() => "inWorker" in globalThis).catch((error: unknown) => expect(problems, String(error)).toEqual([]));
      expect(await page.evaluate(() => crossOriginIsolated)).toBe(false);
      for (const got of [await page.evaluate(() => onPage("/weights")), await page.evaluate(() => inWorker("/weights"))]) {
        expect(got).toMatchObject({ texts: inNode.texts, bleu: inNode.bleu, layers: inNode.layers });
        expect(got.losses.length).toBe(inNode.losses.length);
        got.losses.forEach((loss, i) => expect(Math.abs(loss / inNode.losses[i] - 1), `loss ${i}: ${loss}, in Node ${inNode.losses[i]}`).toBeLessThanOrEqual(1e-5));
      }
      expect(problems).toEqual([]);
    } finally {
      server.close();
    }
  });
});

test("in Node the classifier learns, and the captioner speaks", () => {
  expect(inNode.losses.at(-1)).toBeLessThan(0.95 * inNode.losses[0]);
  for (const text of inNode.texts) expect(text.split(" ").length).toBeGreaterThan(3);
  expect(inNode.bleu).toBeCloseTo(1);
});

test("what a page doesn't use stays out of its bundle", async () => {
  const { pageSize } = (await import(join(import.meta.dirname, "../bundle-size.mjs"))) as { pageSize(folder: string, takes: Record<string, readonly string[] | null>): Promise<{ first: number; all: number }> };
  const kilobytes = async (names: readonly string[] | null): Promise<number> => (await pageSize(join(packed.program, "node_modules/sightline/dist/browser"), { index: names })).all;
  const [engine, product, error] = [await kilobytes(null), await kilobytes(["matmul", "tensor"]), await kilobytes(["DeviceError"])];
  expect(product).toBeLessThan(0.3 * engine); // the device's types, tensors, the tape and the products' generators
  expect(error).toBeLessThan(0.01 * engine);
});

test("the package's limits of size are kept", () => {
  const lines = [...packed.printed.matchAll(/^(.+): ([\d.]+) KB, minified and gzipped \(at most (\d+)\)/gm)].map(([, what, size, limit]) => ({ what, size: Number(size), limit: Number(limit) }));
  expect(lines.map(({ limit }) => limit)).toEqual([60, 110]);
  for (const { what, size, limit } of lines) expect(size, what).toBeLessThanOrEqual(limit);
});

test("the captioner's worker and the element's script need no other file but GPT-2's merges, and that when they are asked for", () => {
  const folder = join(packed.program, "node_modules/sightline/dist/browser");
  for (const name of ["captioner-worker.mjs", "sight-line.mjs"]) {
    const text = readFileSync(join(folder, name), "utf8");
    expect([...text.matchAll(/\bimport\s*[\w{*][^;"']*from\s*["']([^"']+)|\bimport\s*["']([^"']+)/g)], name).toEqual([]);
    expect(new Set([...text.matchAll(/\bimport\(\s*["']([^"']+)/g)].map(([, path]) => path)), name).toEqual(new Set(name === "captioner-worker.mjs" ? ["./gpt2-merges.mjs"] : []));
  }
});
