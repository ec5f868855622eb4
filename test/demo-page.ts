import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { extname, join } from "node:path";
import type { Browser, ElementHandle, Page } from "puppeteer-core";
import { serve, type Pages } from "./browser.ts";

const ARTIFACTS = join(import.meta.dirname, "..", "test-artifacts");
const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json", ".md": "text/markdown" };

/** Builds the demo into a folder of its own. */
export function buildDemo(): { readonly folder: string; readonly remove: () => void } {
  const out = join(ARTIFACTS, `demo-${process.pid}`);
  execFileSync(process.execPath, ["build.mjs", "--quiet", "--out", out], { cwd: join(import.meta.dirname, "..") });
  return { folder: join(out, "demo"), remove: () => rmSync(out, { recursive: true, force: true }) };
}

/** The files of a folder as a static host serves them. */
export function pagesOf(folder: string): Pages {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const served = files.map((file) => [file.slice(folder.length).replaceAll("\\", "/"), { type: TYPES[extname(file)] ?? "application/octet-stream", body: readFileSync(file) }] as const);
  return Object.fromEntries(served.flatMap(([path, page]) => (path === "/index.html" ? [["/", page], [path, page]] : [[path, page]])));
}

/** The demo in a browser. */
export interface DemoPage {
  readonly page: Page;
  /** Errors of the page and its console, refusals of its Content-Security-Policy among them. */
  readonly problems: string[];
  readonly origin: string;
  /** Keeps what is to be seen now, for people to look at. */
  screenshot(name: string): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens the demo.
 * @param prepare Called with the page before it loads anything.
 */
export async function openDemo(pages: Pages, browserName: string, open: () => Promise<Browser>, prepare?: (page: Page) => Promise<unknown>): Promise<DemoPage> {
  const { origin, server } = await serve(pages);
  const browser = await open().catch((error: unknown) => {
    server.close();
    throw error;
  });
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error instanceof Error ? error.message : String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await prepare?.(page);
  await page.goto(origin);
  const shots = join(ARTIFACTS, "demo", browserName.toLowerCase());
  mkdirSync(shots, { recursive: true });
  return {
    page,
    problems,
    origin,
    screenshot: async (name) => void (await page.screenshot({ path: join(shots, `${name}.png`) as `${string}.png`, fullPage: true })),
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Gives files to the button of this name. */
export async function giveFiles(page: Page, button: string, ...paths: readonly string[]): Promise<void> {
  const input = (await page.waitForSelector(`input[type="file"][aria-label="${button}"]`)) as ElementHandle<HTMLInputElement>;
  await input.uploadFile(...paths);
}

/** The text about the picture that an action gives to the page. */
export async function captionAfter(page: Page, action: () => Promise<unknown>): Promise<string> {
  await page.waitForSelector(".spoken [role=status]");
  await page.evaluate(() => {
    const spoken = document.querySelector(".spoken [role=status]")!;
    const seen = { told: "" };
    Object.assign(globalThis, { seen });
    new MutationObserver(() => (seen.told = spoken.textContent ?? "")).observe(spoken, { childList: true, characterData: true, subtree: true });
    spoken.textContent = "";
    seen.told = "";
  });
  await action();
  await page.waitForFunction(() => (globalThis as unknown as { seen: { told: string } }).seen.told !== "");
  return page.evaluate(() => (globalThis as unknown as { seen: { told: string } }).seen.told);
}

/** The problem that the page tells. */
export async function problemShown(page: Page): Promise<string> {
  const alert = await page.waitForSelector("main [role=alert]");
  return (await alert!.evaluate((node) => node.textContent)) ?? "";
}

/** Presses a button in what is shown, as assistive technology finds it: by its name, in the dialog where one is open. */
export async function pressButton(page: Page, name: string): Promise<void> {
  const inDialog = (await page.$("dialog[open]")) !== null;
  const button = await page.waitForSelector(`${inDialog ? "dialog[open]" : "main > div:not([hidden])"} ::-p-aria([name="${name}"][role="button"])`);
  await button!.evaluate((node) => (node as HTMLElement).click());
}
