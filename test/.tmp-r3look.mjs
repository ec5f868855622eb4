// test/browser.ts
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { build } from "esbuild";
import puppeteer from "puppeteer-core";
var FLAGS = ["--no-sandbox", "--enable-unsafe-webgpu", "--disable-gpu-sandbox", "--use-webgpu-adapter=swiftshader", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
var PATIENCE = 6e5;
function unpackChromium() {
  const packageFolder = dirname(dirname(dirname(createRequire(import.meta.url).resolve("@sparticuz/chromium"))));
  const bin = [packageFolder, dirname(packageFolder)].map((folder2) => join(folder2, "bin")).find(existsSync);
  const { version } = JSON.parse(readFileSync(join(dirname(bin), "package.json"), "utf8"));
  const folder = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "sightline", `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync(dirname(folder), { recursive: true });
    const partial = mkdtempSync(`${folder}-`);
    writeFileSync(join(partial, "chromium"), brotliDecompressSync(readFileSync(join(bin, "chromium.br"))));
    chmodSync(join(partial, "chromium"), 493);
    for (const archive of ["al2023.tar.br", "swiftshader.tar.br"]) {
      execFileSync("tar", ["-xf", "-", "-C", partial], { input: brotliDecompressSync(readFileSync(join(bin, archive))), stdio: ["pipe", "ignore", "ignore"] });
    }
    try {
      renameSync(partial, folder);
    } catch (error) {
      rmSync(partial, { recursive: true });
      if (!existsSync(folder)) throw error;
    }
  }
  return { folder, executable: join(folder, "chromium"), libraries: join(folder, "lib") };
}
async function openBrowser() {
  const { executable, libraries } = unpackChromium();
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return puppeteer.launch({ executablePath: executable, args: FLAGS, env: { ...process.env, LD_LIBRARY_PATH: path }, protocolTimeout: PATIENCE });
}

// ../../tmp/h6/r3/look.ts
var sites = process.argv.slice(2).map((s) => s.split("="));
var browser = await openBrowser();
for (const [name, url, wait] of sites) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1280, height: 900 });
  const log = [];
  page.on("console", (m) => log.push(m.type() + ": " + m.text()));
  page.on("pageerror", (e) => log.push("pageerror: " + e));
  page.on("requestfailed", (r) => log.push("failed: " + r.url() + " " + r.failure()?.errorText));
  page.on("response", (r) => r.status() >= 400 && log.push(r.status() + " " + r.url()));
  await page.goto(url).catch((e) => log.push(String(e)));
  await new Promise((r) => setTimeout(r, Number(wait ?? 12e3)));
  console.log("==", name, await page.title(), "\n", (await page.evaluate(() => document.body.innerText)).slice(0, 1500), "\n alt:", await page.evaluate(() => [...document.images].map((i) => i.alt)), "\n", log.join("\n "));
  await page.screenshot({ path: `/tmp/h6/r3/${name}.png` });
  await page.close();
}
await browser.close();
