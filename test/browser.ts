import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { brotliDecompressSync } from "node:zlib";
import { build } from "esbuild";
import puppeteer, { type Browser, type Page } from "puppeteer-core";

const FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-gpu-sandbox", "--use-webgpu-adapter=swiftshader", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
const PATIENCE = 600_000; // ms for one answer of the page: software adapters are slow

const MODULE_PATIENCE = 60_000; // ms until a module has run: two cores may be busy with other tests

/** Unpacks the Chromium that npm's `@sparticuz/chromium` carries, once, with the libraries it needs. */
export function unpackChromium(): { folder: string; executable: string; libraries: string } {
  const packageFolder = dirname(dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium"))));
  const bin = [packageFolder, dirname(packageFolder)].map((folder) => join(folder, "bin")).find(existsSync)!;
  const { version } = JSON.parse(readFileSync(join(dirname(bin), "package.json"), "utf8")) as { version: string };
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sightline", `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(dirname(folder), { recursive: true });
    const partial = mkdtempSync(`${folder}-`);
    writeFileSync(join(partial, "chromium"), brotliDecompressSync(readFileSync(join(bin, "chromium.br"))));
    chmodSync(join(partial, "chromium"), 0o755);
    for (const archive of ["al2023.tar.br", "swiftshader.tar.br"]) {
      execFileSync("tar", ["-xf", "-", "-C", partial], { input: brotliDecompressSync(readFileSync(join(bin, archive))), stdio: ["pipe", "ignore", "ignore"] });
    }
    try {
      renameSync(partial, folder);
    } catch (error) {
      rmSync(partial, { recursive: true });
      if (!existsSync(folder)) throw error; // otherwise another process was faster
    }
  }
  return { folder, executable: join(folder, "chromium"), libraries: join(folder, "lib") };
}

/** A headless Chromium with WebGPU on its software adapter. */
export async function openBrowser(): Promise<Browser> {
  const { executable, libraries } = unpackChromium();
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return puppeteer.launch({ executablePath: executable, args: FLAGS, env: { ...process.env, LD_LIBRARY_PATH: path }, protocolTimeout: PATIENCE });
}

/** What a server answers to a GET of a path. */
export type Pages = Readonly<Record<string, { readonly type: string; readonly body: string | Uint8Array }>>;

/**
 * Serves the given pages on this machine alone; WebGPU wants a secure origin, and localhost is one.
 * @param onPost Is given what a page posts, whatever the address.
 */
export async function serve(pages: Pages, onPost: (body: string) => void = () => undefined): Promise<{ origin: string; server: Server }> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path] = (request.url ?? "/").split("?");
    const page = pages[path];
    if (request.method === "POST") {
      onPost(await text(request));
      response.writeHead(204).end();
    } else if (page === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": page.type }).end(page.body);
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://localhost:${(server.address() as AddressInfo).port}`, server };
}

/** A module of `test/pages` at work in a browser. */
export interface ModulePage {
  /** What the module exports is in the global `exported`. */
  readonly page: Page;
  /** Errors of the page and its console so far. */
  readonly problems: readonly string[];
  /** Loads it again; what it keeps in the browser's storage stays. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Bundles a module of `test/pages` for browsers, serves it, and opens it in a browser.
 * @param files What else the page can fetch.
 * @param open Default: Chromium.
 */
export async function openModule(name: string, files: Pages = {}, open: () => Promise<Browser> = openBrowser): Promise<ModulePage> {
  const { outputFiles } = await build({
    stdin: { contents: `import * as exported from "./${name}"; Object.assign(globalThis, { exported });`, resolveDir: new URL("pages", import.meta.url).pathname },
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
  });
  const { origin, server } = await serve({
    "/": { type: "text/html", body: '<!doctype html><title>test</title><link rel="icon" href="data:,"><script type="module" src="/page.mjs"></script>' },
    "/page.mjs": { type: "text/javascript", body: outputFiles[0].contents },
    ...files,
  });
  const browser = await open().catch((error: unknown) => {
    server.close();
    throw error;
  });
  const page = await browser.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error instanceof Error ? error.message : String(error)));
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
  };
  const reload = async (): Promise<void> => {
    await page.goto(origin);
    await page.waitForFunction(() => "exported" in globalThis, { timeout: MODULE_PATIENCE }).catch(async (error: unknown) => {
      await close();
      throw new Error(`${name} did not load: ${problems.join("; ") || String(error)}`, { cause: error });
    });
  };
  await reload();
  return { page, problems, reload, close };
}
