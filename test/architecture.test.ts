import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

/** Which rooms a room may import from; `docs/architecture.md` draws the same. */
const ALLOWED: Record<string, readonly string[]> = {
  core: [],
  kernels: ["core"],
  device: ["core", "kernels"], // kernel.ts alone: the types of limits and programs
  autograd: ["core", "kernels", "device"],
  nn: ["core", "device", "autograd"],
  models: ["core", "device", "autograd", "nn"],
  data: ["core"],
  metrics: ["core"],
  checkpoint: ["core", "device", "autograd", "nn"],
  train: ["core", "kernels", "device", "autograd", "data"],
  caption: ["core", "kernels", "device", "autograd", "nn", "models", "data", "metrics", "checkpoint", "train"],
  web: ["core", "device", "data", "checkpoint", "caption"],
  demo: ["core", "device", "autograd", "nn", "models", "data", "metrics", "checkpoint", "train", "caption", "web", "bench"], // bench/ beside src/: what the page measures
  cli: ["core", "device", "autograd", "nn", "models", "data", "metrics", "checkpoint", "train", "caption"],
};

/** Files that may use Node's own modules; everything else must work in a browser. */
const NODE_ONLY = [/^src\/cli\//, /^src\/metrics\/files\.ts$/, /^src\/data\/(files|folder)\.ts$/, /^src\/checkpoint\/(hub\/)?files\.ts$/, /^src\/device\/gpu-node\.ts$/];

const MAX_LINES = 600;

/** TypeScript files below a folder. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => /\.tsx?$/.test(name) && !name.includes("node_modules")).map((name) => join(folder, name));
}

const sources = filesIn("src");
const importsOf = (file: string): string[] => [...readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map(([, name]) => name);
const roomOf = (file: string): string => relative("src", file).replace(/^\.\.\//, "").split("/")[0]; // bench stands beside src

describe("architecture", () => {
  test("every room is known", () => {
    const rooms = new Set(sources.map(roomOf).filter((room) => !room.endsWith(".ts")));
    expect([...rooms].filter((room) => !(room in ALLOWED))).toEqual([]);
  });

  test("imports point down only", () => {
    const upward = sources.filter((file) => roomOf(file) in ALLOWED).flatMap((file) =>
      importsOf(file).filter((name) => name.startsWith(".") && !name.endsWith(".json")).flatMap((name) => {
        const room = roomOf(join(dirname(file), name));
        return room === roomOf(file) || ALLOWED[roomOf(file)].includes(room) ? [] : [`${file} → ${name}`];
      }),
    );
    expect(upward).toEqual([]);
  });

  test("device knows kernels only by their types", () => {
    const names = sources.filter((file) => roomOf(file) === "device").flatMap(importsOf).filter((name) => name.includes("kernels/"));
    expect(new Set(names)).toEqual(new Set(["../kernels/kernel.ts"]));
  });

  test("Node's modules are used only where they must be", () => {
    const leaks = sources.filter((file) => !NODE_ONLY.some((pattern) => pattern.test(file)) && importsOf(file).some((name) => name.startsWith("node:")));
    expect(leaks).toEqual([]);
  });

  test(`no file is longer than ${MAX_LINES} lines`, () => {
    const files = [...sources, ...filesIn("test"), ...filesIn("bench")];
    expect(files.filter((file) => readFileSync(file, "utf8").split("\n").length > MAX_LINES + 1)).toEqual([]);
  });
});
