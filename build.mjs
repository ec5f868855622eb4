// Builds dist/ (or the folder named after `--out`): the command line, the bench, the conformance suite, the package for Node and for browsers, and the
// demo page. `--quiet` prints nothing on success. `--serve` goes on as a server of the demo page's files.
import { gzipSync } from "node:zlib";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { build, context } from "esbuild";

const quiet = process.argv.includes("--quiet");
const outdir = process.argv.includes("--out") ? process.argv[process.argv.indexOf("--out") + 1] : "dist";
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const shared = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", sourcemap: true };

/** Packages stay outside of what runs in Node; Dawn is a native addon and cannot be bundled. */
const node = { ...shared, platform: "node", packages: "external" };

/** What the package exports, by subpath: code that two of them share stands in a file of its own. */
const entries = { index: "src/index.ts", models: "src/models/index.ts", caption: "src/caption/index.ts", checkpoint: "src/checkpoint/index.ts", data: "src/data/index.ts", metrics: "src/metrics/index.ts" };
const browser = { platform: "browser", minify: true };

/** `import text from "page-asset:./page.css"`: a script or style sheet of a web page, bundled and minified into a text. */
const pageAssets = {
  name: "page-asset",
  setup(hooks) {
    hooks.onResolve({ filter: /^page-asset:/ }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path.slice("page-asset:".length)), namespace: "page-asset" }));
    hooks.onLoad({ filter: /./, namespace: "page-asset" }, async ({ path }) => {
      const { outputFiles } = await build({ bundle: true, minify: true, format: "iife", target: "es2022", logLevel: "warning", entryPoints: [path], write: false });
      return { contents: outputFiles[0].text, loader: "text" };
    });
  },
};

/** The demo: a page, its workers, and what it needs beside them. What is fetched from other servers is published weights alone. */
const demo = { main: "src/demo/main.tsx", "captioner-worker": "src/web/captioner-worker.ts", "training-worker": "src/demo/training-worker.ts", "bench-worker": "src/demo/bench-worker.ts" };

if (!quiet) rmSync(outdir, { recursive: true, force: true });
else for (const folder of [outdir, `${outdir}/browser`, `${outdir}/demo`].filter(existsSync)) for (const file of readdirSync(folder)) if (/-[A-Z0-9]{8}\.m?js/.test(file)) rmSync(`${folder}/${file}`); // shared parts of the last build

await Promise.all([
  build({ ...node, plugins: [pageAssets], define: { SIGHTLINE_VERSION: JSON.stringify(version) }, entryPoints: { cli: "src/cli/main.ts" }, outdir, outExtension: { ".js": ".mjs" }, banner: { js: "#!/usr/bin/env node" } }),
  build({ ...node, entryPoints: { bench: "bench/main.ts", conformance: "test/conformance/main.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...node, entryPoints: { fuzz: "test/fuzz/main.ts", "fuzz-files": "test/fuzz/files-worker.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...node, splitting: true, entryPoints: { ...entries, checkpoint: "src/checkpoint/node.ts", data: "src/data/node.ts", metrics: "src/metrics/node.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...shared, ...browser, splitting: true, entryPoints: entries, outdir: `${outdir}/browser`, outExtension: { ".js": ".mjs" } }),
  build({ ...shared, ...browser, sourcemap: false, splitting: true, entryPoints: demo, outdir: `${outdir}/demo` }),
]);

// METEOR's table: Node looks beside the bundle, pages fetch it. Its licence goes where it goes.
for (const folder of [outdir, `${outdir}/browser`]) for (const file of ["wordnet-synonyms.gz", "WORDNET-LICENSE"]) copyFileSync(`src/metrics/${file}`, `${folder}/${file}`);

layDemo(`${outdir}/demo`);

/** Lays the demo's page, the captioners of weights/ and `site.json` beside the scripts; `sightline export` replaces the latter two. */
function layDemo(folder) {
  mkdirSync(`${folder}/weights`, { recursive: true });
  for (const file of ["index.html", "icon.svg"]) copyFileSync(`src/demo/${file}`, `${folder}/${file}`);
  const site = JSON.parse(readFileSync("src/demo/site.json", "utf8"));
  for (const { file, card } of site.captioners) for (const path of [file, card]) copyFileSync(path, `${folder}/${path}`);
  const captioners = site.captioners.map((captioner) => ({ ...captioner, size: statSync(captioner.file).size }));
  writeFileSync(`${folder}/site.json`, JSON.stringify({ ...site, captioners }));
}

if (process.argv.includes("--serve")) {
  const server = await (await context({})).serve({ servedir: `${outdir}/demo`, host: "localhost" });
  console.log(`The demo is at http://localhost:${server.port} (its files are in ${outdir}/demo; any static host serves them). Ctrl+C ends it.`);
}

if (!quiet) {
  const { outputFiles } = await build({ ...shared, ...browser, sourcemap: false, write: false, entryPoints: ["src/index.ts"] });
  const [{ contents }] = outputFiles;
  const kilobytes = (bytes) => (bytes / 1024).toFixed(1);
  console.log(`engine for browsers: ${kilobytes(contents.length)} KB minified, ${kilobytes(gzipSync(contents, { level: 9 }).length)} KB gzipped (aim: 60)`);
}
