import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { sum } from "../autograd/ops/index.ts";
import { tensor } from "../autograd/tensor.ts";
import type { AdapterSummary } from "../device/adapter.ts";
import { requestDevice, type Device } from "../device/device.ts";
import { showFailure } from "./failure.ts";
import { megabytes, thousands } from "../core/format.ts";
import { print } from "./terminal.ts";
import { VERSION } from "./version.ts";

export const PROBES = ["auto", "hardware", "software", "null"] as const;
export type Probe = (typeof PROBES)[number];

/** What was found where an adapter was asked for. */
type Finding =
  | { readonly found: true; readonly adapter: AdapterSummary; readonly limits: Readonly<Record<string, number>>; readonly features: readonly string[]; readonly check: Check | null }
  | { readonly found: false; readonly problem: string };

/** A computation whose result is known. */
interface Check {
  readonly what: string;
  readonly right: boolean;
  readonly milliseconds: number;
}

/** A driver that hangs must not hang the doctor. */
const PROBE_SECONDS = 60;

const CHECKED_NUMBERS = 2 ** 20;

const SHOWN_LIMITS = ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage", "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupsPerDimension"] as const;

/** `sightline doctor`: what there is to compute on. It reports, whatever happens; 1 if nothing works. */
export async function doctor({ json = false }: { readonly json?: boolean }): Promise<number> {
  const asked = process.env.SIGHTLINE_ADAPTER;
  const [used, hardware, software, none] = await Promise.all(PROBES.map(probeApart));
  const works = used.found && used.check?.right === true;
  const advice = adviceFor(used, hardware, software);
  if (json) {
    const report = { sightline: VERSION, node: process.version, platform: process.platform, arch: process.arch, dawn: dawnVersion(), SIGHTLINE_ADAPTER: asked ?? null, works, used, adapters: { hardware, software, null: none }, advice };
    print(JSON.stringify(report, null, 2));
    return works ? 0 : 1;
  }
  print(`sightline ${VERSION}, Node ${process.version} on ${process.platform} ${process.arch}, Dawn from npm webgpu ${dawnVersion()}`);
  print();
  print("adapters");
  print(`  hardware  ${showFinding(hardware)}`);
  print(`  software  ${showFinding(software)}`);
  print(`  null      ${showFinding(none)}`);
  print();
  print(`SIGHTLINE_ADAPTER is ${asked === undefined ? "not set, which means auto" : asked}`);
  print(used.found ? `used: ${used.adapter.kind} adapter ${used.adapter.description}, because: ${used.adapter.reason}` : `used: none; ${used.problem}`);
  if (used.found) {
    for (const line of showLimits(used)) print(`  ${line}`);
    print(`  features  ${used.features.join(", ") || "none"}`);
  }
  for (const line of advice) print(`to do: ${line}`);
  return works ? 0 : 1;
}

/** `sightline doctor --probe KIND`: one finding as JSON, in a process of its own, since a broken driver can end its process. */
export async function probe(kind: Probe): Promise<number> {
  print(JSON.stringify(await look(kind)));
  return 0;
}

async function look(kind: Probe): Promise<Finding> {
  let device: Device | undefined;
  try {
    device = await requestDevice({ adapter: kind });
    const { limits, features } = device.gpu;
    return {
      found: true,
      adapter: device.adapter,
      limits: Object.fromEntries(SHOWN_LIMITS.map((name) => [name, limits[name]])),
      features: [...features].sort(),
      check: kind === "null" ? null : await check(device),
    };
  } catch (error) {
    return { found: false, problem: showFailure(error, false).replace(/^error: /, "") };
  } finally {
    await device?.close();
  }
}

async function check(device: Device): Promise<Check> {
  const numbers = Float32Array.from({ length: CHECKED_NUMBERS }, (_, i) => i % 8);
  const expected = CHECKED_NUMBERS * 3.5;
  using _ = device.scope();
  const values = tensor(device, numbers, [1024, CHECKED_NUMBERS / 1024]);
  await sum(values).item(); // compiles
  const begun = performance.now();
  const result = await sum(values).item();
  return { what: `the sum of ${thousands(CHECKED_NUMBERS)} numbers`, right: result === expected, milliseconds: performance.now() - begun };
}

function probeApart(kind: Probe): Promise<Finding> {
  return new Promise((resolve) => {
    const options = { timeout: PROBE_SECONDS * 1000, maxBuffer: 1 << 24 };
    execFile(process.execPath, [process.argv[1], "doctor", "--probe", kind], options, (error, stdout, stderr) => {
      try {
        resolve(JSON.parse(stdout) as Finding);
      } catch {
        const how = error?.killed ? `no answer within ${PROBE_SECONDS} s` : `the driver ended its process (${error?.signal ?? `exit code ${error?.code ?? 0}`})`;
        resolve({ found: false, problem: [how, stderr.trim().split("\n")[0]].filter((text) => text !== "").join(": ") });
      }
    });
  });
}

function showFinding(finding: Finding): string {
  if (!finding.found) return `none: ${finding.problem}`;
  const { adapter, check: checked } = finding;
  const maker = [adapter.vendor, adapter.architecture].filter((text) => text !== "").join(" ");
  const name = maker === "" ? adapter.description : `${adapter.description} (${maker})`;
  if (checked === null) return `${name}: compiles everything, runs nothing; for tests`;
  return `${name}: ${checked.right ? `works, ${checked.what} took ${checked.milliseconds.toFixed(1)} ms` : `does not work, ${checked.what} came out wrong`}`;
}

function showLimits({ limits }: Finding & { found: true }): string[] {
  return Object.entries(limits).map(([name, value]) => `${name}  ${name.endsWith("Size") && value >= 1e6 ? megabytes(value) : thousands(value)}`);
}

/** What to install, in the order of what helps most. */
function adviceFor(used: Finding, hardware: Finding, software: Finding): string[] {
  const advice: string[] = [];
  if (!hardware.found && process.platform === "linux") {
    advice.push(
      "for a GPU of AMD or Intel, install its Vulkan driver: apt install mesa-vulkan-drivers libvulkan1 (Fedora: mesa-vulkan-drivers vulkan-loader)",
      "for a GPU of NVIDIA, install its driver with the Vulkan part: apt install nvidia-driver libvulkan1; in a container, set NVIDIA_DRIVER_CAPABILITIES=all",
    );
  }
  if (!hardware.found && process.platform === "win32") advice.push("for a GPU, install the newest driver of its maker");
  if (!software.found && process.platform === "linux" && process.arch === "x64") advice.push("to compute without a GPU: npm install @sparticuz/chromium (66 MB)");
  if (!used.found && (hardware.found || software.found)) advice.push(`set SIGHTLINE_ADAPTER=${hardware.found ? "hardware" : "software"}, or leave it unset`);
  return advice;
}

function dawnVersion(): string {
  try {
    return (createRequire(import.meta.url)("webgpu/package.json") as { version: string }).version;
  } catch (error) {
    return `unknown: ${(error as Error).message.split("\n")[0]}`;
  }
}
