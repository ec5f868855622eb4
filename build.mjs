// Builds dist/ (or the folder named after `--out`): the command line, the bench, the conformance suite, the package for Node and for browsers with its
// types, and the demo page. `--quiet` builds what runs, without the types, and prints nothing on success. `--cli` builds the command line
// alone, which is all that most npm scripts wait for. `--serve` goes on as a server of the demo page's files.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, context } from "esbuild";
import { PAGES, pageSize } from "./bundle-size.mjs";
import { leanSources } from "./lean-sources.mjs";

const quiet = process.argv.includes("--quiet");
const outdir = process.argv.includes("--out") ? process.argv[process.argv.indexOf("--out") + 1] : "dist";
const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const shared = { bundle: true, format: "esm", target: "es2022", logLevel: "warning", sourcemap: true };

/** Packages stay outside of what runs in Node; Dawn is a native addon and cannot be bundled. */
const node = { ...shared, platform: "node", packages: "external" };

/** What the package exports, by subpath: code that two of them share stands in a file of its own. */
const entries = { index: "src/index.ts", ...Object.fromEntries(["nn", "models", "caption", "train", "checkpoint", "data", "metrics", "web"].map((room) => [room, `src/${room}/index.ts`])) };

/** What pages need to caption and to train stands apart from what they may need later: as entries of their own, these modules share no file with it. */
const apart = { captioner: "src/caption/captioner.ts", training: "src/caption/training.ts" };

/** GPT-2's merges, 600 KB that few pages need: beside the worker in a file whose name stays, so that it can be copied with the worker. */
const mergesApart = {
  name: "merges-apart",
  setup(hooks) {
    hooks.onResolve({ filter: /\/gpt2-merges\.ts$/ }, ({ kind }) => (kind === "dynamic-import" ? { path: "./gpt2-merges.mjs", external: true } : undefined));
  },
};
const browser = { ...shared, platform: "browser", sourcemap: false, plugins: [leanSources, mergesApart] };

/** What pages load as it is; the package itself is left to the bundlers of those who use it, so that they can read it and leave out what they don't need. */
const page = { ...browser, minify: true };

/** `import text from "page-asset:./page.css"`: a script or style sheet of a web page, bundled and minified into a text. */
const pageAssets = {
  name: "page-asset",
  setup(hooks) {
    hooks.onResolve({ filter: /^page-asset:/ }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path.slice("page-asset:".length)), namespace: "page-asset" }));
    hooks.onLoad({ filter: /./, namespace: "page-asset" }, async ({ path }) => {
      // `ignoreAnnotations`: a page's script may import a module for what it does; the package has none such for others
      const { outputFiles } = await build({ bundle: true, minify: true, format: "iife", target: "es2022", logLevel: "warning", ignoreAnnotations: true, entryPoints: [path], write: false });
      return { contents: outputFiles[0].text, loader: "text" };
    });
  },
};

/** The demo: a page, its workers, and what it needs beside them. What is fetched from other servers is published weights alone. */
const demo = { main: "src/demo/main.tsx", "captioner-worker": "src/web/captioner-worker.ts", "training-worker": "src/demo/training-worker.ts", "bench-worker": "src/demo/bench-worker.ts", "scene-worker": "src/demo/caption/scene-worker.ts" };

if (process.argv.includes("--cli")) {
  await buildCommandLine();
  process.exit();
}

if (!quiet) rmSync(outdir, { recursive: true, force: true });
else for (const folder of [outdir, `${outdir}/browser`, `${outdir}/demo`].filter(existsSync)) for (const file of readdirSync(folder)) if (/-[A-Z0-9]{8}\.(m?js|css)/.test(file)) rmSync(`${folder}/${file}`); // shared parts of the last build

await Promise.all([
  buildCommandLine(),
  build({ ...node, entryPoints: { bench: "bench/main.ts", conformance: "test/conformance/main.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...node, entryPoints: { fuzz: "test/fuzz/main.ts", "fuzz-files": "test/fuzz/files-worker.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...node, splitting: true, entryPoints: { ...entries, checkpoint: "src/checkpoint/node.ts", data: "src/data/node.ts", metrics: "src/metrics/node.ts" }, outdir, outExtension: { ".js": ".mjs" } }),
  build({ ...browser, splitting: true, entryPoints: { ...entries, ...apart }, outdir: `${outdir}/browser`, outExtension: { ".js": ".mjs" } }),
  build({ ...page, entryPoints: { "captioner-worker": "src/web/captioner-worker.ts", "sight-line": "src/web/sight-line.ts", "gpt2-merges": "src/data/gpt2-merges.ts" }, outdir: `${outdir}/browser`, outExtension: { ".js": ".mjs" } }),
  build({ ...page, plugins: [leanSources], splitting: true, entryPoints: demo, outdir: `${outdir}/demo` }),
]);

laySynonyms(`${outdir}/browser`);
await layDemo(`${outdir}/demo`);

async function buildCommandLine() {
  await build({ ...node, plugins: [pageAssets], define: { SIGHTLINE_VERSION: JSON.stringify(version) }, entryPoints: { cli: "src/cli/main.ts" }, outdir, outExtension: { ".js": ".mjs" }, banner: { js: "#!/usr/bin/env node" } });
  laySynonyms(outdir);
}

/** METEOR's table: Node looks beside the bundle, pages fetch it. Its licence goes where it goes. */
function laySynonyms(folder) {
  for (const file of ["wordnet-synonyms.gz", "WORDNET-LICENSE"]) copyFileSync(`src/metrics/${file}`, `${folder}/${file}`);
}

/** Lays the demo's page, the captioners of weights/ and `site.json` beside the scripts; `sightline export` replaces the latter two. */
async function layDemo(folder) {
  mkdirSync(`${folder}/weights`, { recursive: true });
  const { pagePolicy, publishedServers, withPolicy } = await loaded("src/cli/page-policy.ts");
  writeFileSync(`${folder}/index.html`, withPolicy(readFileSync("src/demo/index.html", "utf8"), pagePolicy(publishedServers())));
  copyFileSync("src/demo/icon.svg", `${folder}/icon.svg`);
  copyFileSync("LICENSE", `${folder}/LICENSE.txt`); // asks to go where copies go
  const site = JSON.parse(readFileSync("src/demo/site.json", "utf8"));
  for (const { file, card } of site.captioners) for (const path of [file, card]) copyFileSync(path, `${folder}/${path}`);
  const captioners = site.captioners.map((captioner) => ({ ...captioner, size: statSync(captioner.file).size }));
  writeFileSync(`${folder}/site.json`, JSON.stringify({ ...site, captioners }));
}

/** The exports of a TypeScript module that needs no packages. */
async function loaded(path) {
  const { outputFiles } = await build({ ...shared, sourcemap: false, platform: "neutral", entryPoints: [path], write: false });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
}

if (process.argv.includes("--serve")) {
  const server = await (await context({})).serve({ servedir: `${outdir}/demo`, host: "localhost" });
  console.log(`The demo is at http://localhost:${server.port} (its files are in ${outdir}/demo; any static host serves them). Ctrl+C ends it.`);
}

if (!quiet) {
  emitTypes(`${outdir}/types`);
  for (const { name, limit, takes } of PAGES) {
    const { first, all } = await pageSize(`${outdir}/browser`, takes);
    console.log(`${name}: ${first.toFixed(1)} KB, minified and gzipped (at most ${limit})${all > first ? `; ${(all - first).toFixed(1)} KB more where it is needed` : ""}`);
    if (first > limit) process.exitCode = 1;
  }
}

/** The package's types, for whichever settings a program that uses it has: declarations alone, whose imports carry no `.ts`. */
function emitTypes(folder) {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.types.json", "--outDir", folder], { stdio: "inherit" });
  for (const name of readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".d.ts"))) {
    const file = join(folder, name);
    writeFileSync(file, readFileSync(file, "utf8").replace(/((?:from|import\()\s*"\.[^"]*)\.tsx?"/g, '$1.js"'));
  }
}
