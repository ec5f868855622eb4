import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { constants, homedir } from "node:os";
import { dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import { DeviceError, InputError } from "../core/errors.ts";
import { isCpuAdapter, parsePreference, type AdapterPreference, type FoundAdapter } from "./adapter.ts";

/** dlopen flag: the library stays loaded although it is no Node addon. */
const RTLD_NODELETE = 0x1000;

/**
 * Dawn's settings. Its bounds checks cost about a third of a matrix product's time and are switched off: the kernels
 * guard their own bounds, and the tests watch sentinels behind every buffer. Timestamps are wanted unrounded.
 */
const DAWN_FLAGS = ["enable-dawn-features=allow_unsafe_apis,disable_robustness", "disable-dawn-features=timestamp_quantization"];

const FALLBACK_PACKAGE = "@sparticuz/chromium";

const instances: GPU[] = [];

async function createGpu(flags: readonly string[]): Promise<GPU> {
  const { create, globals } = await import("webgpu");
  Object.assign(globalThis, globals);
  const gpu = create([...flags, ...DAWN_FLAGS]);
  instances.push(gpu);
  return gpu;
}

/**
 * Finds an adapter through Dawn (npm `webgpu`). Where there is no hardware adapter on Linux x64, SwiftShader from
 * npm's `@sparticuz/chromium` is unpacked into the cache folder and used instead.
 *
 * @param preference What the program asks for; the environment variable SIGHTLINE_ADAPTER wins over `auto`.
 * @throws DeviceError if there is no such adapter, with what to install.
 */
export async function findAdapter(preference: AdapterPreference | "null"): Promise<FoundAdapter> {
  if (preference === "null") return findNull();
  const wanted = preference === "auto" ? parsePreference(process.env.SIGHTLINE_ADAPTER ?? "auto") : preference;
  const because = preference === "auto" && wanted !== "auto" ? `SIGHTLINE_ADAPTER=${wanted}` : undefined;
  if (wanted !== "software") {
    const adapter = mayHaveHardware() ? await (await createGpu([])).requestAdapter({ powerPreference: "high-performance" }) : null;
    if (adapter !== null && !isCpuAdapter(adapter.info)) {
      return { adapter, kind: "hardware", reason: because ?? "hardware is preferred" };
    }
    if (wanted === "hardware") {
      throw new DeviceError("requestDevice: no hardware adapter found", "install the graphics driver with its Vulkan part, or set SIGHTLINE_ADAPTER=software");
    }
  }
  return findSoftware(because ?? "no hardware adapter was found");
}

/** Device files of GPUs: Linux's own drivers, NVIDIA's (in containers there is nothing else), AMD's, WSL's, Arm's. */
const GPU_FILES = /^(dri|nvidia\d+|kfd|dxg|mali\d+)$/;

/**
 * Whether there is any hardware for Dawn to ask for. Without Linux's Vulkan loader it would only print a warning, and so
 * would drivers that compute on the CPU, which is all that they can do on a machine without a GPU.
 */
function mayHaveHardware(): boolean {
  return process.platform !== "linux" || (readdirSync("/dev").some((name) => GPU_FILES.test(name)) && loadLibrary("libvulkan.so.1"));
}

/** The adapter that runs nothing but compiles everything: for compile tests and for measuring host overhead. */
async function findNull(): Promise<FoundAdapter> {
  const adapter = await (await createGpu(["backend=null"])).requestAdapter();
  if (adapter === null) throw new DeviceError("requestDevice: Dawn offers no null adapter");
  return { adapter, kind: "null", reason: "asked for" };
}

async function findSoftware(reason: string): Promise<FoundAdapter> {
  if (process.platform === "linux" && process.arch === "x64") loadSwiftShader(unpackSwiftShader());
  const gpu = await createGpu([]);
  const adapter = (await gpu.requestAdapter({ forceFallbackAdapter: true })) ?? (await gpu.requestAdapter());
  if (adapter === null || !isCpuAdapter(adapter.info)) {
    throw new DeviceError("requestDevice: no software adapter found", `the software adapter is available on Linux x64 with "npm install ${FALLBACK_PACKAGE}"`);
  }
  return { adapter, kind: "software", reason };
}

/** Makes the Vulkan loader of `folder` the one that Dawn will find, with SwiftShader as its only driver. */
function loadSwiftShader(folder: string): void {
  const driver = join(folder, "vk_swiftshader_icd.json");
  process.env.VK_DRIVER_FILES = driver;
  process.env.VK_ICD_FILENAMES = driver;
  const loader = join(folder, "libvulkan.so.1");
  if (!loadLibrary(loader)) throw new DeviceError(`requestDevice: cannot load the software adapter's Vulkan loader ${loader}`, "delete that folder and try again");
}

/** Loads a shared library for the whole process, and says whether that worked. */
function loadLibrary(file: string): boolean {
  try {
    process.dlopen({ exports: {} }, file, constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE);
    return true;
  } catch (error) {
    // Node looks for an addon's entry point in what it loads; the library stays loaded all the same.
    return String(error).includes("did not self-register");
  }
}

/** Unpacks SwiftShader once into the cache folder, and returns that folder. */
function unpackSwiftShader(): string {
  const require = createRequire(import.meta.url);
  let packageFile: string;
  try {
    packageFile = findPackage(require.resolve(FALLBACK_PACKAGE));
  } catch {
    throw new DeviceError("requestDevice: no hardware adapter found, and the software adapter is not installed", `"npm install ${FALLBACK_PACKAGE}" adds it, 66 MB`);
  }
  const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { version: string };
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const folder = join(cache, "sightline", `swiftshader-${version}`);
  if (existsSync(join(folder, "libvk_swiftshader.so"))) return folder;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    const partial = mkdtempSync(`${folder}-`);
    const archive = join(dirname(packageFile), "bin", "swiftshader.tar.br");
    execFileSync("tar", ["-xf", "-", "-C", partial], { input: brotliDecompressSync(readFileSync(archive)) });
    try {
      renameSync(partial, folder);
    } catch (error) {
      rmSync(partial, { recursive: true, force: true });
      if (!existsSync(folder)) throw error; // otherwise another process was faster
    }
  } catch (error) {
    throw new InputError(`requestDevice: cannot unpack the software adapter into ${folder}: ${(error as Error).message}`, "make room there, or choose another folder with XDG_CACHE_HOME");
  }
  return folder;
}

function findPackage(entry: string): string {
  for (let folder = dirname(entry); ; folder = dirname(folder)) {
    const file = join(folder, "package.json");
    if (existsSync(file) && (JSON.parse(readFileSync(file, "utf8")) as { name?: string }).name === FALLBACK_PACKAGE) return file;
    if (folder === dirname(folder)) throw new Error(`no package.json above ${entry}`);
  }
}

const exitActions = new Set<() => void>();

/** Calls `close` when the process ends: a software adapter can crash when it is unloaded with work in flight. */
export function onExit(close: () => void): void {
  if (exitActions.size === 0) process.once("exit", () => exitActions.forEach((action) => action()));
  exitActions.add(close);
}
