/**
 * The conformance suite: every op against PyTorch's results and against float64, on whatever WebGPU implementation it
 * finds itself on. The same code runs in Node, in browsers and in Deno.
 */

import type { Device, DeviceOptions } from "../../src/device/device.ts";
import { ALL_CASES } from "../ops/index.ts";
import { expectation, fitsFloat16, isWithin, measureSample, type FloatStorage, type Measured } from "../ops/measure.ts";
import type { OpCase, Sample } from "../ops/op-case.ts";
import { FAMILIES, type Family, type Finding, type Oracle, type SuiteEvent, type SuiteFiles, type SuiteJob, type Surroundings } from "./findings.ts";
import { modelCases, type ModelCase } from "./model-cases.ts";
import { MODEL_TOLERANCES } from "./model-measure.ts";
import { loadOptimCases, loadTorchCases, type Loaded } from "./torch-file.ts";
import { measureOptimCase, measureTorchCase, storageOf, TORCH_TOLERANCES, torchTolerance } from "./torch-measure.ts";
import type { OptimCase } from "./torch-optim.ts";
import type { TorchCase } from "./torch-ops.ts";

export type OpenDevice = (options: DeviceOptions) => Promise<Device>;
export type Emit = (event: SuiteEvent) => void | Promise<void>;

/** Runs a case on a device. @throws Error where that is not possible. */
type Measure = (device: Device) => Promise<readonly Measured[]>;

/** A case, whatever it is compared with. */
interface Runnable {
  readonly oracle: Oracle;
  readonly op: string;
  readonly case: string;
  readonly storage: FloatStorage;
  readonly tolerance: number;
  /** Works out what all devices share. Null where the case makes no sense in this storage. */
  prepare(): Measure | null;
}

/** Runs everything that a job asks for. @throws InputError for files that cannot be used, DeviceError without an adapter. */
export async function runSuite(job: SuiteJob, files: SuiteFiles, open: OpenDevice, emit: Emit): Promise<void> {
  const runnables = job.storages.flatMap((storage) => runnablesOf(job, files, storage)).filter(({ op, case: name }) => `${op}/${name}`.includes(job.filter));
  const devices = new DeviceShelf(open);
  try {
    await emit({ kind: "opened", surroundings: await devices.surroundings() });
    for (const [i, runnable] of runnables.entries()) {
      const measure = runnable.prepare();
      const findings: Finding[] = [];
      if (measure !== null) for (const family of job.families) findings.push(...(await findingsOf(runnable, measure, family, devices)));
      await emit({ kind: "case", findings, done: i + 1, total: runnables.length });
    }
  } finally {
    await devices.close();
  }
  await emit({ kind: "finished" });
}

function runnablesOf({ float64 }: SuiteJob, { ops, optim, models = [] }: SuiteFiles, storage: FloatStorage): Runnable[] {
  return [
    ...(storage === "f16" ? [] : models.flatMap(modelCases).map(modelRunnable)),
    ...(ops === undefined ? [] : loadTorchCases(ops).map((loaded) => torchRunnable(loaded, storage))),
    ...(optim === undefined || storage === "f16" ? [] : loadOptimCases(optim).map(optimRunnable)), // parameters are trained in f32
    ...(float64 ? ALL_CASES.flatMap((opCase) => opCase.samples.map((sample) => float64Runnable(opCase, sample, storage))) : []),
  ];
}

async function findingsOf({ oracle, op, case: name, storage, tolerance }: Runnable, measure: Measure, family: Family, devices: DeviceShelf): Promise<Finding[]> {
  const common = { oracle, op, case: name, storage, family };
  try {
    const measured = await measure(await devices.of(family, storage));
    return measured.map((each) => {
      const finite = Number.isFinite(each.error);
      const reason = each.problem ?? (finite ? undefined : "NaN or Inf stand in other places than in the reference");
      return { ...common, what: each.what, error: finite ? each.error : null, tolerance: each.tolerance, ok: isWithin(each), ...(reason === undefined ? {} : { reason }) };
    });
  } catch (error) {
    await devices.recover();
    return [{ ...common, what: "run", error: null, tolerance, ok: false, reason: messageOf(error) }];
  }
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim();
}

/** The devices of a suite: one for each family, and others on which f16 is emulated where the adapter has none. */
class DeviceShelf {
  private readonly open: OpenDevice;
  private readonly devices = new Map<string, Device>();

  constructor(open: OpenDevice) {
    this.open = open;
  }

  async of(family: Family, storage: FloatStorage): Promise<Device> {
    const cooperativeWorkgroups = family === "cooperative";
    const device = await this.at(family, { cooperativeWorkgroups });
    if (storage === "f32" || device.limits.features.has("shader-f16")) return device;
    return this.at(`${family}, emulated`, { cooperativeWorkgroups, emulateF16: true });
  }

  /** After a failure: clears what it left behind, and lets go of devices that are lost. */
  async recover(): Promise<void> {
    for (const [key, device] of this.devices) {
      try {
        await device.idle().catch(() => device.idle()); // the first may throw what else went wrong
      } catch {
        await device.close();
        this.devices.delete(key);
      }
    }
  }

  async surroundings(): Promise<Surroundings> {
    const { limits, adapter } = await this.at(FAMILIES[0], { cooperativeWorkgroups: false });
    const { features, maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = limits;
    return {
      adapter,
      features: [...features].toSorted(),
      limits: { maxStorageBuffersPerShaderStage, maxStorageBufferBindingSize, maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup },
    };
  }

  async close(): Promise<void> {
    for (const device of this.devices.values()) await device.close();
  }

  private async at(key: string, limits: DeviceOptions["limits"]): Promise<Device> {
    let device = this.devices.get(key);
    if (device === undefined) {
      device = await this.open({ limits });
      this.devices.set(key, device);
    }
    return device;
  }
}

function torchRunnable(loaded: Loaded<TorchCase>, wanted: FloatStorage): Runnable {
  const storage = storageOf(loaded, wanted);
  const measure: Measure = (device) => measureTorchCase(device, loaded, storage);
  return { oracle: "pytorch", op: loaded.op, case: loaded.case, storage, tolerance: torchTolerance(loaded, storage), prepare: () => measure };
}

function optimRunnable(loaded: Loaded<OptimCase>): Runnable {
  const measure: Measure = (device) => measureOptimCase(device, loaded);
  return { oracle: "optimizer", op: loaded.op, case: loaded.case, storage: "f32", tolerance: TORCH_TOLERANCES.optimizer.error, prepare: () => measure };
}

function modelRunnable({ name, measure }: ModelCase): Runnable {
  return { oracle: "model", op: "model", case: name, storage: "f32", tolerance: MODEL_TOLERANCES.forward.error, prepare: () => measure };
}

function float64Runnable(opCase: OpCase<unknown>, sample: Sample<unknown>, storage: FloatStorage): Runnable {
  const prepare = (): Measure | null => {
    if (storage === "f16" && !fitsFloat16(opCase, sample)) return null;
    const expected = expectation(opCase, sample, storage);
    return async (device) => {
      const { measured, broken } = await measureSample(device, opCase, sample, expected);
      return broken.length === 0 ? measured : [...measured, { what: "bounds", error: Infinity, tolerance: 0, problem: `writes outside of ${broken.join(", ")}` }];
    };
  };
  return { oracle: "float64", op: opCase.name, case: sample.name, storage, tolerance: opCase.tolerance.forward, prepare };
}
