import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");

/** The package as `npm pack` makes it, installed in a program of its own. */
export interface Packed {
  /** What the build printed. */
  readonly printed: string;
  /** Paths in the package, and their sizes in bytes. */
  readonly files: ReadonlyMap<string, number>;
  /** Bytes of the packed file. */
  readonly size: number;
  /** The folder of the program, in whose `node_modules` the package lies. */
  readonly program: string;
  remove(): void;
}

/** Builds and packs the package, and installs it for the program of `test/bundles`. */
export function packedPackage(): Packed {
  const folder = join(ROOT, "test-artifacts", `package-${process.pid}`);
  const [staged, program] = [join(folder, "staged"), join(folder, "program")];
  const printed = execFileSync(process.execPath, ["build.mjs", "--out", join(staged, "dist")], { cwd: ROOT, encoding: "utf8" });
  for (const name of ["package.json", "README.md", "LICENSE", "weights", "docs"]) cpSync(join(ROOT, name), join(staged, name), { recursive: true, filter: (path) => !path.includes("docs/api") });
  const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--offline"], { cwd: staged, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const [{ filename, size, files }] = JSON.parse(packed) as [{ filename: string; size: number; files: { path: string; size: number }[] }];
  const installed = join(program, "node_modules", "sightline");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(staged, filename), "-C", installed, "--strip-components=1"]);
  for (const name of ["consumer.js", "page.js", "worker.js"]) cpSync(join(import.meta.dirname, name), join(program, name));
  return { printed, size, files: new Map(files.map((file) => [file.path, file.size])), program, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** What `package.json` says that the package exports, by subpath. */
export function exportsOf({ program }: Packed): Record<string, Record<string, string | Record<string, string>>> {
  return (JSON.parse(readFileSync(join(program, "node_modules/sightline/package.json"), "utf8")) as { exports: ReturnType<typeof exportsOf> }).exports;
}
