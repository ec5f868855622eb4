// test/demo-page.ts
import { mkdirSync as mkdirSync2, readdirSync as readdirSync2, readFileSync as readFileSync2, rmSync as rmSync2 } from "node:fs";
import { extname, join as join3 } from "node:path";

// test/browser.ts
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
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
  const { executable: executable2, libraries } = unpackChromium();
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return puppeteer.launch({ executablePath: executable2, args: FLAGS, env: { ...process.env, LD_LIBRARY_PATH: path }, protocolTimeout: PATIENCE });
}
async function serve(pages, onPost = () => void 0) {
  const answer = async (request, response) => {
    const [path] = (request.url ?? "/").split("?");
    const page2 = pages[path];
    if (request.method === "POST") {
      onPost(await text(request));
      response.writeHead(204).end();
    } else if (page2 === void 0) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": page2.type }).end(page2.body);
  };
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://localhost:${server.address().port}`, server };
}

// test/firefox.ts
import { existsSync as existsSync3 } from "node:fs";
import puppeteer2 from "puppeteer-core";

// test/conformance/runners/drivers.ts
import { existsSync as existsSync2, readdirSync } from "node:fs";
import { join as join2 } from "node:path";
function driver(name, hint, find) {
  return {
    name,
    missing: () => find() === void 0 ? `${name} is not installed: ${hint}` : null,
    get environment() {
      const file = find() ?? "";
      return { VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file };
    }
  };
}
var DRIVERS = "/usr/share/vulkan/icd.d";
var LAVAPIPE = driver("lavapipe", "apt-get install mesa-vulkan-drivers", () => {
  const file = existsSync2(DRIVERS) ? readdirSync(DRIVERS).find((name) => name.startsWith("lvp_icd")) : void 0;
  return file && join2(DRIVERS, file);
});
var SWIFTSHADER = driver("SwiftShader", "npm install @sparticuz/chromium", () => {
  const file = join2(unpackChromium().folder, "vk_swiftshader_icd.json");
  return existsSync2(file) ? file : void 0;
});

// test/firefox.ts
var EXECUTABLES = ["/usr/bin/firefox-esr", "/usr/bin/firefox"];
var PREFERENCES = { "dom.webgpu.enabled": true, "dom.webgpu.workers.enabled": true, "gfx.webgpu.ignore-blocklist": true };
function executable() {
  return EXECUTABLES.find(existsSync3);
}
function missingForFirefox() {
  return executable() === void 0 ? "Firefox is not installed: apt-get install firefox-esr" : LAVAPIPE.missing();
}
function openFirefox(preferences = {}) {
  return puppeteer2.launch({
    browser: "firefox",
    protocol: "webDriverBiDi",
    executablePath: executable(),
    headless: true,
    extraPrefsFirefox: { ...PREFERENCES, ...preferences },
    env: { ...process.env, ...LAVAPIPE.environment },
    protocolTimeout: 6e5
    // software adapters are slow
  });
}

// test/demo-page.ts
var ARTIFACTS = join3(import.meta.dirname, "..", "test-artifacts");
var TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json", ".md": "text/markdown" };
var BROWSERS = [
  { browser: "Chromium", open: openBrowser, missing: () => null },
  { browser: "Firefox", open: () => openFirefox(), missing: missingForFirefox }
];
function pagesOf(folder) {
  const files = readdirSync2(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ parentPath, name }) => join3(parentPath, name));
  const served = files.map((file) => [file.slice(folder.length).replaceAll("\\", "/"), { type: TYPES[extname(file)] ?? "application/octet-stream", body: readFileSync2(file) }]);
  return Object.fromEntries(served.flatMap(([path, page2]) => path === "/index.html" ? [["/", page2], [path, page2]] : [[path, page2]]));
}
async function openDemo(pages, browserName, open, prepare) {
  const { origin: origin2, server } = await serve(pages);
  const browser = await open().catch((error) => {
    server.close();
    throw error;
  });
  const page2 = await browser.newPage();
  await page2.setViewport({ width: 1280, height: 900 });
  const problems2 = [];
  page2.on("pageerror", (error) => problems2.push(error instanceof Error ? error.message : String(error)));
  page2.on("console", (message) => message.type() === "error" && problems2.push(message.text()));
  await prepare?.(page2);
  await page2.goto(origin2);
  const shots = join3(ARTIFACTS, "demo", browserName.toLowerCase());
  mkdirSync2(shots, { recursive: true });
  return {
    page: page2,
    problems: problems2,
    origin: origin2,
    screenshot: async (name) => void await page2.screenshot({ path: join3(shots, `${name}.png`), fullPage: true }),
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
    }
  };
}
async function giveFiles(page2, button, ...paths) {
  const input = await page2.waitForSelector(`input[type="file"][aria-label="${button}"]`);
  await input.uploadFile(...paths);
}

// ../../tmp/h6/pr2/x.ts
import { writeFileSync as writeFileSync2 } from "node:fs";
var log = (...a) => console.log((/* @__PURE__ */ new Date()).toISOString().slice(14, 19), ...a);
var shot = (n) => page.screenshot({ path: `/tmp/h6/pr2/shots/${n}.png`, fullPage: true });
var opened = await openDemo(pagesOf("/tmp/h6/pr2/build/demo"), "chromium-pr2", BROWSERS[0].open);
var { page, problems, origin } = opened;
var step = async (name, f) => {
  try {
    const r = await f();
    log("OK", name, r ?? "");
  } catch (e) {
    log("FAIL", name, String(e).slice(0, 300));
    await shot(`fail-${name.replace(/\W+/g, "-")}`).catch(() => {
    });
  }
};
var wait = (ms) => new Promise((r) => setTimeout(r, ms));
var until = (f, timeout = 6e4) => page.waitForFunction(f, { timeout });
var press = (text3, root = "main > div:not([hidden])") => page.evaluate((t, r) => {
  const b = [...document.querySelectorAll(`${r} button, ${r} summary`)].find((x) => x.textContent === t && x.checkVisibility());
  if (!b) throw new Error("no button " + t);
  b.click();
}, text3, root);
var text2 = (s) => page.evaluate((q) => document.querySelector(q)?.textContent ?? null, s);
var said = () => until(`document.querySelector(".spoken [role=status]")?.textContent !== ""`);
var radio = (t) => page.evaluate((t2) => {
  const l = [...document.querySelectorAll("main > div:not([hidden]) .segments label")].find((x) => x.textContent === t2);
  if (!l) throw new Error("no radio " + t2);
  l.querySelector("input").click();
}, t);
try {
  await step("first caption", said);
  await step("open encdec file", async () => {
    await giveFiles(page, "Open a checkpoint\u2026", "/work/main/weights/encdec-scenes.safetensors");
    await until(`document.querySelector(".captioner .about")?.textContent.includes("from this device") && document.querySelector(".captioner .about").textContent.includes("weights,") && document.querySelector(".spoken [role=status]").textContent !== ""`);
    await shot("own-encdec");
    return [await text2(".captioner .about"), await text2(".spoken [role=status]"), await text2(".looking")];
  });
  await step("phone own", async () => {
    await page.setViewport({ width: 390, height: 844 });
    await shot("own-encdec-phone");
    await page.setViewport({ width: 1280, height: 900 });
  });
  await step("switch quickly", async () => {
    for (const t of ["cross", "storyteller", "encdec", "story", "prefix", "cross", "story"]) {
      await radio(t);
      await wait(60);
    }
    await said();
    await wait(3e3);
    return [await text2(".captioner .about"), await text2(".spoken [role=status]"), await page.evaluate(() => document.querySelector(".captioner input:checked")?.closest("label")?.textContent), await page.evaluate(() => [...document.querySelectorAll(".captioner .segments label")].map((x) => x.textContent).join())];
  });
  await step("bad file", async () => {
    await giveFiles(page, "Open a checkpoint\u2026", "/tmp/h6/pr2/bad.safetensors");
    await until(`document.querySelector("main [role=alert]")`);
    await shot("bad");
    return text2("main [role=alert]");
  });
  await step("json only", async () => {
    await giveFiles(page, "Open a checkpoint\u2026", "/tmp/h6/pr2/config.json");
    await wait(1500);
    await shot("json");
    return page.evaluate(() => [...document.querySelectorAll("main [role=alert]")].map((x) => x.textContent));
  });
  await step("beam", async () => {
    await page.click(".options summary");
    await radio("Beam search");
    await wait(300);
    await until(`document.querySelector(".candidates .score")?.textContent !== ""`);
    await shot("beam");
    return text2(".candidates ol");
  });
  await step("chance", async () => {
    await radio("By chance");
    await wait(200);
    await until(`document.querySelector(".candidates .score")?.textContent !== ""`);
    await wait(1500);
    await shot("chance");
    return page.evaluate(() => [...document.querySelectorAll(".candidates .score")].map((x) => x.textContent));
  });
  await step("several dropped", async () => {
    const out = await page.evaluate(async () => {
      const dt = new DataTransfer();
      const c = new OffscreenCanvas(20, 20);
      c.getContext("2d").fillRect(0, 0, 9, 9);
      const b = await c.convertToBlob();
      dt.items.add(new File(["x"], "notes.txt", { type: "text/plain" }));
      dt.items.add(new File([b], "one.png", { type: "image/png" }));
      dt.items.add(new File([b], "two.png", { type: "image/png" }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: dt, bubbles: true, cancelable: true }));
      await new Promise((r) => setTimeout(r, 1e3));
      return [document.querySelector(".stage img")?.getAttribute("alt"), [...document.querySelectorAll("main [role=alert]")].map((x) => x.textContent)];
    });
    return JSON.stringify(out);
  });
  await step("published", async () => {
    await press("Published models\u2026");
    await wait(1200);
    await shot("published");
    await page.keyboard.press("Escape");
  });
  await step("camera", async () => {
    await press("Camera");
    await wait(1500);
    await shot("camera");
    await page.keyboard.press("Escape");
  });
  await step("train own", async () => {
    await page.evaluate(() => void (location.hash = "train"));
    await page.waitForSelector(".train-start");
    await radio("My own pictures");
    await wait(300);
    const pics = ["a", "b", "c", "d", "e", "f"].map((n) => `/tmp/h6/pr2/pics/${n}.png`);
    await giveFiles(page, "Add pictures", ...pics);
    await until(`document.querySelectorAll(".train-grid li").length === 6`);
    for (let i = 0; i < 6; i++) await page.type(`.train-grid li:nth-child(${i + 1}) textarea`, `a ring and a square ${i % 2 ? "red" : "blue"}`);
    await shot("own-grid");
    return text2(".train-drop [role=status]");
  });
  await step("typed while adding", async () => {
    const input = await page.$('input[type=file][aria-label="Add pictures"]');
    await input.uploadFile("/tmp/h6/pr2/big.webp");
    await page.type(".train-grid li:nth-child(1) textarea", " LATE", { delay: 5 });
    await until(`document.querySelectorAll(".train-grid li").length === 7`);
    return page.$eval(".train-grid li:nth-child(1) textarea", (x) => x.value);
  });
  await step("invalid in closed settings", async () => {
    await press("Settings");
    await page.type(".train-settings input[type=number]", "0");
    await press("Settings");
    await press("Start training");
    await wait(600);
    const r = await page.evaluate(() => [document.querySelector(".train-settings").open, document.activeElement?.tagName, document.querySelector("#train-work-heading")?.textContent ?? null]);
    await page.evaluate(() => document.querySelector(".train-settings").open = true);
    await page.click(".train-settings input[type=number]", { count: 3 });
    await page.keyboard.type("300");
    return r;
  });
  await step("start own", async () => {
    await page.focus(".train-start");
    await page.keyboard.press("Enter");
    await wait(400);
    log("focus", await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 80)));
    await until(`document.querySelector(".progress-text span")?.textContent === "Compiling"`);
    await press("Pause");
    await until(`document.querySelector("#train-work-heading").textContent === "Paused"`, 9e4);
    await shot("paused-compiling");
    return [await text2(".train-work .progress-text"), await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 80))];
  });
  await step("second tab", async () => {
    await press("Resume");
    await until(`document.querySelector(".train-work .progress-text span")?.textContent === "Steps" && document.querySelector("#train-work-heading").textContent==="Training"`, 9e4);
    await shot("own-training");
    const two = await page.browser().newPage();
    two.on("pageerror", (e) => log("tab2", String(e)));
    await two.goto(`${origin}/#train`);
    await two.waitForSelector(".train-runs li");
    await wait(500);
    await two.screenshot({ path: "/tmp/h6/pr2/shots/tab2.png", fullPage: true });
    const first = await two.evaluate(() => document.querySelector(".train-runs li").textContent);
    await page.bringToFront();
    await press("Pause");
    await until(`document.querySelector("#train-work-heading").textContent === "Paused"`, 9e4);
    await two.bringToFront();
    await wait(1500);
    const second = await two.evaluate(() => document.querySelector(".train-runs li").textContent);
    await two.close();
    await page.bringToFront();
    return [first, second];
  });
  await step("caption with it", async () => {
    await press("Caption with it");
    await wait(3e3);
    await shot("caption-with");
    await page.setViewport({ width: 390, height: 844 });
    await shot("caption-with-phone");
    await page.setViewport({ width: 1280, height: 900 });
    return text2(".captioner .about");
  });
  await step("delete", async () => {
    await page.evaluate(() => void (location.hash = "train"));
    await wait(300);
    await press("Delete", ".train-runs");
    await wait(200);
    await shot("delete");
    await page.evaluate(() => [...document.querySelectorAll("dialog[open] button")].find((x) => x.textContent === "Delete").click());
    await wait(1200);
    await shot("deleted");
    return [await text2(".train-work"), await text2(".train-runs")];
  });
  await step("bench stop", async () => {
    await page.evaluate(() => void (location.hash = "bench"));
    await page.waitForSelector(".bench-controls");
    await press("Measure");
    await until(`document.querySelector(".bench-table tr.group")`, 6e4);
    await press("Stop");
    await wait(300);
    await shot("bench-stopped");
  });
} finally {
  log("problems", problems);
  writeFileSync2("/tmp/h6/pr2/done", "");
  await opened.close();
}
