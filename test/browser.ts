import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { chromium, type Browser } from "playwright-core";

const FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-gpu-sandbox", "--use-webgpu-adapter=swiftshader", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

/** Unpacks the Chromium that npm's `@sparticuz/chromium` carries, once, with the libraries it needs. */
function unpackChromium(): { executable: string; libraries: string } {
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
  return { executable: join(folder, "chromium"), libraries: join(folder, "lib") };
}

/** A headless Chromium with WebGPU on its software adapter. */
export async function openBrowser(): Promise<Browser> {
  const { executable, libraries } = unpackChromium();
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return chromium.launch({ executablePath: executable, args: ["--headless=new", ...FLAGS], env: { ...process.env, LD_LIBRARY_PATH: path } });
}

/** Serves the given pages on this machine alone; WebGPU wants a secure origin, and localhost is one. */
export async function serve(pages: Readonly<Record<string, { type: string; body: string | Uint8Array }>>): Promise<{ origin: string; server: Server }> {
  const server = createServer((request, response) => {
    const page = pages[request.url ?? "/"];
    if (page === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": page.type }).end(page.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://localhost:${(server.address() as AddressInfo).port}`, server };
}
