// What pages load of the package, measured as Vite bundles it with its own settings.
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "vite";

/** Pages, what each takes from which subpath (null for all of it), and the most KB (1024 bytes) that it may load, minified and gzipped, before it can begin. */
export const PAGES = [
  { name: "the engine", limit: 60, takes: { index: null } },
  {
    name: "a page that opens checkpoints, captions with all systems and trains them",
    limit: 110,
    takes: { index: ["requestDevice"], checkpoint: ["readSafetensors", "writeSafetensors"], caption: ["Captioner", "MemoryFeatures", "prepareCaptioner", "recipeFor", "trainCaptioner"] },
  },
];

/** KB that a page loads of the browser's files in a folder: at first, and in all when everything was needed. */
export async function pageSize(folder, takes) {
  const lines = Object.entries(takes).map(([entry, names]) => `export ${names === null ? "*" : `{ ${names.join(", ")} }`} from ${JSON.stringify(resolve(folder, `${entry}.mjs`))};`);
  const { output } = await build({
    configFile: false,
    logLevel: "error",
    publicDir: false,
    plugins: [{ name: "page", enforce: "pre", resolveId: (id) => (id === "page" ? "\0page" : null), load: (id) => (id === "\0page" ? lines.join("\n") : null) }],
    build: { write: false, modulePreload: false, rollupOptions: { input: "page", preserveEntrySignatures: "strict" } },
  });
  const chunks = output.filter(({ type }) => type === "chunk");
  const first = new Set();
  const load = (fileName) => {
    if (first.has(fileName)) return;
    first.add(fileName);
    chunks.find((chunk) => chunk.fileName === fileName).imports.forEach(load);
  };
  load(chunks.find(({ isEntry }) => isEntry).fileName);
  const kilobytes = (files) => files.reduce((sum, { code }) => sum + gzipSync(code, { level: 9 }).length, 0) / 1024;
  return { first: kilobytes(chunks.filter(({ fileName }) => first.has(fileName))), all: kilobytes(chunks) };
}
