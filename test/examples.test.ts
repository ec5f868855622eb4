import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { extname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build } from "vite";
import { openBrowser, serve, type Pages } from "./browser.ts";
import { programOf } from "./guide-samples.ts";

const ROOT = join(import.meta.dirname, "..");
/** The examples as users have them: each a folder, the package installed above. It lies in the repository, so that the package finds its own packages. */
const PROJECT = join(ROOT, "test-artifacts", `examples-${process.pid}`);
const PACKAGE = join(PROJECT, "node_modules", "sightline");
const SCENE = "a large orange triangle is to the left of a large blue ring";

let browser: Browser;

beforeAll(async () => {
  execFileSync(process.execPath, ["build.mjs", "--quiet", "--out", join(PACKAGE, "dist")], { cwd: ROOT });
  for (const part of ["package.json", "weights"]) cpSync(join(ROOT, part), join(PACKAGE, part), { recursive: true });
  writeFileSync(join(PROJECT, "package.json"), '{ "private": true }'); // or "sightline" would be the repository itself
  cpSync(join(ROOT, "examples"), PROJECT, { recursive: true, filter: (path) => !/\/examples\/.*(node_modules|dist)/.test(path) });
  browser = await openBrowser();
});

afterAll(async () => {
  await browser?.close();
  rmSync(PROJECT, { recursive: true, force: true });
});

const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".png": "image/png" };

/** Every file of a folder under its address, which begins with `prefix`. */
function pagesOf(folder: string, prefix = "/"): Pages {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const pages = files.map((file) => [prefix + relative(folder, file), { type: TYPES[extname(file)] ?? "application/octet-stream", body: readFileSync(file) }] as const);
  return Object.fromEntries([...pages, ...pages.filter(([path]) => path === `${prefix}index.html`).map(([, page]) => [prefix, page] as const)]);
}

/** Opens a folder's page, and closes it behind the action. Nothing may be wrong on its console but a missing favicon. */
async function onPage(folder: string, action: (page: Page, problems: string[]) => Promise<void>): Promise<void> {
  const { origin, server } = await serve({ ...pagesOf(folder), ...pagesOf(join(PACKAGE, "dist", "browser"), "/node_modules/sightline/dist/browser/"), ...pagesOf(join(PACKAGE, "weights"), "/node_modules/sightline/weights/"), "/favicon.ico": { type: "image/png", body: "" } });
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => ["error", "warn"].includes(message.type()) && problems.push(message.text()));
  try {
    await page.goto(origin);
    await action(page, problems);
    expect(problems).toEqual([]);
  } finally {
    await page.close();
    server.close();
  }
}

const altOf = (page: Page): Promise<string> => page.$eval("img", (image) => image.alt);

test("caption-image says what the picture shows, to those who see it and in its alternative text", () =>
  onPage(join(PROJECT, "caption-image"), async (page) => {
    await page.waitForFunction(() => document.querySelector("img")!.alt !== "");
    expect(await altOf(page)).toBe(SCENE);
    expect(await page.$eval("p", (line) => line.textContent)).toBe(SCENE);
  }));

test("plain-html gives its picture an alternative text, with nothing but an element", () =>
  onPage(join(PROJECT, "plain-html"), async (page) => {
    await page.waitForFunction(() => document.querySelector("img")!.alt !== "");
    expect(await altOf(page)).toBe("a large yellow cross is to the left of a large blue square");
  }));

test("the Content-Security-Policy in docs/web.md is enough for it", async () => {
  const [, policy] = /```csp\n(.*)\n```/.exec(readFileSync(join(ROOT, "docs", "web.md"), "utf8"))!;
  const folder = join(PROJECT, "strict");
  cpSync(join(PROJECT, "plain-html"), folder, { recursive: true });
  const html = readFileSync(join(folder, "index.html"), "utf8");
  writeFileSync(join(folder, "index.html"), html.replace("<meta", `<meta http-equiv="Content-Security-Policy" content="${policy}">\n<meta`));
  await onPage(folder, async (page, problems) => {
    await page.waitForFunction(() => document.querySelector("img")!.alt !== "");
    await page.evaluate(() => fetch("data:,forbidden").catch(() => undefined));
    expect(problems.splice(0).join()).toContain("Content Security Policy"); // it does hold
  });
});

test("train-classifier learns the same in Node and in a browser", async () => {
  const said = execFileSync(process.execPath, ["train-classifier.mjs"], { cwd: join(PROJECT, "train-classifier"), encoding: "utf8" });
  const right = Number(/^loss 0\.\d{3}, (\d+) of 256 points right\n$/.exec(said)?.[1]);
  expect(right).toBeGreaterThanOrEqual(250);
  await onPage(join(PROJECT, "train-classifier"), async (page) => {
    await page.waitForFunction(() => /^\d+$/.test(document.querySelector("output")!.value));
    expect(Number(await page.$eval("output", ({ value }) => value))).toBeGreaterThanOrEqual(250);
  });
});

test("react, bundled by Vite, captions its picture and then the one that the reader chooses", async () => {
  // React is not installed here: Preact's compat layer stands in for it, with the same hooks and the same JSX.
  const folder = join(PROJECT, "react");
  const preact = { "react-dom/client": "preact/compat/client", "react/jsx-runtime": "preact/jsx-runtime", react: "preact/compat" };
  await build({ root: folder, logLevel: "error", resolve: { alias: preact } });
  await onPage(join(folder, "dist"), async (page) => {
    const says = (text: string): Promise<unknown> => page.waitForFunction((expected: string) => document.querySelector("figcaption")?.textContent === expected, {}, text);
    await says("a small green ring is to the left of a small green triangle");
    expect(await page.$eval("figure", (figure) => figure.getAttribute("aria-busy"))).toBe("false");
    const input = (await page.$("input[type=file]"))!;
    await input.uploadFile(join(PROJECT, "caption-image", "scene.png"));
    await says(SCENE);
    expect(await altOf(page)).toBe(SCENE);
    await input.evaluate((node) => Object.assign(node, { value: "" }).dispatchEvent(new Event("change", { bubbles: true }))); // the choice is cancelled
    expect(await page.$eval("img", async ({ src }) => (await fetch(src)).ok)).toBe(true); // the picture is still there
    writeFileSync(join(PROJECT, "no-picture.png"), "Dear diary");
    await input.uploadFile(join(PROJECT, "no-picture.png"));
    await page.waitForFunction(() => document.querySelector("figcaption")!.textContent!.includes("must be a picture"));
    expect(await altOf(page)).toBe("");
  });
});

test("node-server captions uploads, refuses what it cannot read in one clear line, and ends when it is asked to", async () => {
  const child = spawn(process.execPath, ["server.mjs", join(PACKAGE, "weights", "cross-scenes.safetensors")], { cwd: join(PROJECT, "node-server"), env: { ...process.env, PORT: "0" } });
  const ended = once(child, "exit");
  try {
    const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
    const address = /http:\S+/.exec(line)![0];
    const post = async (body: BodyInit, to = address): Promise<{ status: number; answer: { caption?: string; score?: number; error?: string } }> => {
      const response = await fetch(to, { method: "POST", body, duplex: "half" } as RequestInit);
      return { status: response.status, answer: (await response.json()) as { caption?: string; error?: string } };
    };
    const picture = readFileSync(join(PROJECT, "caption-image", "scene.png"));
    expect(await post(picture)).toEqual({ status: 200, answer: { caption: SCENE, score: expect.any(Number) } });
    const several = await Promise.all(Array.from({ length: 20 }, () => post(picture)));
    const refused = several.filter(({ status }) => status === 503).length;
    expect(refused).toBeGreaterThanOrEqual(1); // 4, unless one was answered before the last came in
    expect(several.filter(({ status, answer }) => status === 200 && answer.caption === SCENE)).toHaveLength(20 - refused);

    expect(await post("Dear diary, no picture today")).toMatchObject({ status: 400, answer: { error: expect.stringMatching(/^[^\n]*must be a JPEG or PNG picture; got 28 bytes that begin with 44 65 61 72[^\n]*$/) } });
    expect(await post(picture.subarray(0, 900))).toMatchObject({ status: 400, answer: { error: expect.stringContaining("truncated") } });
    expect(await post("")).toMatchObject({ status: 400, answer: { error: expect.stringContaining("an empty file") } });
    expect(await post(new Uint8Array(10 * 2 ** 20 + 1))).toEqual({ status: 413, answer: { error: "a picture may have at most 10485760 bytes; got 10485761" } });
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 11; i++) yield new Uint8Array(2 ** 20);
    };
    expect(await post(pieces() as unknown as BodyInit)).toMatchObject({ status: 413 }); // whose size nobody announced
    expect(await post(picture, address.replace("caption", "elsewhere"))).toMatchObject({ status: 404 });
    const got = await fetch(address);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await post(picture)).toMatchObject({ status: 200 }); // after all that

    const last = post(picture);
    await delay(50);
    child.kill("SIGTERM");
    expect(await last).toMatchObject({ status: 200 });
    expect(await ended).toEqual([0, null]);
  } finally {
    child.kill("SIGKILL");
  }
});

test("every op in the guide's table is exported by the package", async () => {
  const [, table] = /^## Ops, by their names in PyTorch$(.*?)^## /ms.exec(readFileSync(join(ROOT, "docs", "from-pytorch.md"), "utf8"))!;
  const ours = table.matchAll(/^\|[^|]*\|([^|]*)\|/gm);
  const named = Array.from(ours, ([, cell]) => Array.from(cell.matchAll(/`([^`]*)`/g), ([, code]) => code.replaceAll(/\([^)]*\)/g, "").split(" "))).flat(2);
  const ops = named.filter((name) => /^[a-z]\w+$/i.test(name) && !["sightline", "view"].includes(name));
  expect(ops.length).toBeGreaterThan(90);
  const subpaths = await Promise.all(["index", "nn", "caption"].map((file) => import(join(PACKAGE, "dist", `${file}.mjs`)) as Promise<object>));
  expect(ops.filter((op) => !subpaths.some((exported) => op in exported))).toEqual([]);
});

test("the guide's samples are sound TypeScript and print what it says", () => {
  const folder = join(PROJECT, "guide");
  const { source, expected } = programOf(readFileSync(join(ROOT, "docs", "from-pytorch.md"), "utf8"));
  expect(expected.length).toBeGreaterThan(15);
  mkdirSync(folder);
  writeFileSync(join(folder, "guide.ts"), source);
  const { exports } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { exports: Record<string, { types: string }> };
  const paths = Object.fromEntries(Object.entries(exports).map(([subpath, { types }]) => [subpath.replace(".", "sightline"), [join(ROOT, types.replace("./dist/types", "src").replace(".d.ts", ".ts"))]]));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ extends: relative(folder, join(ROOT, "tsconfig.json")), compilerOptions: { paths }, include: ["guide.ts"] }));
  execFileSync(process.execPath, [join(ROOT, "node_modules", "typescript", "bin", "tsc"), "-p", folder], { stdio: "inherit" });
  execFileSync(join(ROOT, "node_modules", ".bin", "esbuild"), ["guide.ts", "--target=es2022", "--outfile=guide.mjs", "--log-level=error"], { cwd: folder });
  const printed = execFileSync(process.execPath, ["guide.mjs"], { cwd: folder, encoding: "utf8" });
  expect(printed.trimEnd().split("\n")).toEqual(expected);
});
