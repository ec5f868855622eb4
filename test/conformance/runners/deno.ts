import { execFileSync, spawn } from "node:child_process";
import { DeviceError } from "../../../src/core/errors.ts";
import { LAVAPIPE, SWIFTSHADER, type Driver } from "./drivers.ts";
import { serveSuite, type Runner } from "./runner.ts";

const PINNED = "deno@2.9.6"; // what npx fetches (100 MB) where no deno is installed
const FLAGS = ["run", "--quiet", "--no-config", "--no-lock", "--unstable-webgpu", "--reload", "--allow-net=localhost"];

interface Deno {
  readonly executable: string;
  readonly version: string;
  /** Which command it was found by. */
  readonly by: string;
}

let found: Deno | null | undefined; // looked for once

/** The deno of the path, otherwise npm's. */
function findDeno(): Deno | null {
  return (found ??= askDeno("deno", []) ?? askDeno("npx", ["--yes", PINNED]));
}

/** Where a command's deno lies: npx itself would not hand on the signal that ends it. */
function askDeno(command: string, args: readonly string[]): Deno | null {
  try {
    const output = execFileSync(command, [...args, "eval", "console.log(JSON.stringify({ executable: Deno.execPath(), version: Deno.version.deno }))"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return { ...(JSON.parse(output) as Omit<Deno, "by">), by: [command, ...args].join(" ") };
  } catch {
    return null;
  }
}

/** Deno, whose WebGPU is wgpu, on one of the drivers. */
function deno(driver: Driver): Runner {
  return {
    name: `deno-${driver.name.toLowerCase()}`,
    title: `Deno (wgpu), ${driver.name}`,
    missing: () => driver.missing() ?? (findDeno() === null ? `Deno is not installed, and npx could not fetch it: npm install -g ${PINNED}` : null),
    run: (work, emit) =>
      serveSuite(work, emit, async (origin, finished) => {
        const { executable, version, by } = findDeno()!;
        const child = spawn(executable, [...FLAGS, `--location=${origin}/`, `${origin}/client.mjs`], {
          env: { ...process.env, ...driver.environment },
          stdio: ["ignore", "ignore", "pipe"],
        });
        let said = "";
        child.stderr.on("data", (text: Buffer) => (said = (said + text.toString()).slice(-2000)));
        const ended = new Promise<never>((_, reject) => {
          child.once("error", reject);
          child.once("exit", (code, signal) => setTimeout(() => reject(new DeviceError(`deno ended (${signal ?? `exit code ${code}`}) before the suite did: ${said.trim()}`)), 1000));
        });
        try {
          await Promise.race([finished, ended]);
          return by === "deno" ? `Deno ${version}` : `Deno ${version} (${by})`;
        } finally {
          child.kill();
        }
      }),
  };
}

export const denoSwiftshader = deno(SWIFTSHADER);
export const denoLavapipe = deno(LAVAPIPE);
