import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { programsOfOps } from "./bundles/programs.ts";

const ROOT = join(import.meta.dirname, "..");
const FOLDER = join(ROOT, "test-artifacts", `lean-${process.pid}`);

interface LeanSources {
  readonly leanSources: Plugin;
  shortenShaders(source: string): string;
  withoutEffects(source: string): string;
}

let lean: LeanSources;
beforeAll(async () => {
  lean = (await import(join(ROOT, "lean-sources.mjs"))) as LeanSources;
  mkdirSync(FOLDER, { recursive: true });
});
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

/** The WGSL of all ops from a bundle of the sources that the plugins have changed. */
async function programs(name: string, plugins: Plugin[]): Promise<readonly string[]> {
  const outfile = join(FOLDER, `${name}.mjs`);
  await build({ entryPoints: [join(ROOT, "test/bundles/programs.ts")], bundle: true, platform: "node", format: "esm", target: "es2022", packages: "external", outfile, plugins });
  const { programsOfOps: collect } = (await import(outfile)) as { programsOfOps: typeof programsOfOps };
  return collect();
}

/** WGSL's tokens, longest first; comments and spaces between them are none. */
function tokensOf(wgsl: string): string[] {
  return wgsl.replace(/\/\/[^\n]*/g, "").match(/[\w.]+|->|--|\+\+|&&|\|\||<<=|>>=|<<|[-+*/%&|^=!<>]=|\S/g) ?? [];
}

test("what browsers load has the same shaders: the same tokens in the same order, and the compiler takes them", async () => {
  const [written, short] = [await programs("written", []), await programs("short", [lean.leanSources])];
  expect(written.length).toBeGreaterThan(300);
  expect(short.length).toBe(written.length);
  const different = written.flatMap((wgsl, i) => (tokensOf(wgsl).join(" ") === tokensOf(short[i]).join(" ") ? [] : [{ wgsl, short: short[i] }]));
  expect(different.slice(0, 1)).toEqual([]);
  const length = (texts: readonly string[]): number => texts.reduce((sum, { length }) => sum + length, 0);
  expect(length(short)).toBeLessThan(0.9 * length(written));
});

test("shaders lose comments and needless spaces, and keep what would run together", () => {
  const source = "const wgsl = `\n  // a note about ${x}\n  let a = ${x} - b; // why\n  let c = a - -b;\n  return vec2<f32> (c, d);\n`;";
  expect(lean.shortenShaders(source)).toBe("const wgsl = `\nlet a= ${x} -b;let c=a- -b;return vec2<f32>(c,d);`;");
});

test("messages of errors stay as they are", () => {
  const source = "throw new ShapeError(`matmul: a, b must fit;  got ${a}, ${b}`);";
  expect(lean.shortenShaders(source)).toBe(source);
});

test("a comment in a quoted text is refused", () => {
  expect(() => lean.shortenShaders('const a = "return; // uniform";')).toThrow("a shader's comment must stand in a template");
});

test("calls that make constants are marked as pure, and those in functions are not", () => {
  expect(lean.withoutEffects("export const a = f({ b: g() }), c = () => h();\nrun();")).toBe("export const a = /* @__PURE__ */ f({ b: /* @__PURE__ */ g() }), c = () => h();\nrun();");
});
