import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { InputError } from "../../src/core/errors.ts";

/** The folder bench/, from the bundle in dist/ as well as from the sources. */
export const BENCH_FOLDER = join(findRoot(), "bench");

/** Loads packages that only bench/package.json depends on. */
const require = createRequire(join(BENCH_FOLDER, "package.json"));

/** Installs the other libraries with the versions of their lock file, unless they are there. */
export function installPeers(say: (line: string) => void): void {
  if (existsSync(join(BENCH_FOLDER, "node_modules", ".package-lock.json"))) return;
  say("installing the other libraries into bench/node_modules (npm --prefix bench ci), about 70 MB");
  try {
    execFileSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: BENCH_FOLDER, stdio: ["ignore", "ignore", "inherit"] });
  } catch (error) {
    throw new InputError("--peers: the other libraries could not be installed", "see npm's message above; npm --prefix bench ci tries again", { cause: error });
  }
}

export function requirePeer(name: string): unknown {
  return require(name);
}

export function peerVersion(name: string): string {
  return versionIn(join(BENCH_FOLDER, "node_modules", name, "package.json"));
}

/** The version of this library. */
export function ownVersion(): string {
  return versionIn(join(BENCH_FOLDER, "..", "package.json"));
}

/** The version that a package.json says. */
export function versionIn(file: string): string {
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "bench", "package.json"))) {
    if (folder === dirname(folder)) throw new Error("the folder bench/ was not found: the bench runs in a clone of the repository only");
    folder = dirname(folder);
  }
  return folder;
}
