/// <reference lib="esnext.disposable" preserve="true" />
import { DISPOSE } from "../core/dispose.ts";
import { DeviceError } from "../core/errors.ts";
import type { KernelLimits } from "../kernels/kernel.ts";
import { describeAdapter, showAdapter, type AdapterPreference, type AdapterSummary, type FoundAdapter } from "./adapter.ts";
import { alignBytes, BufferPool, type MemoryReport } from "./buffers.ts";
import { bindCommand, encodeCommands, type Command, type CommandSink } from "./commands.ts";
import { PipelineCache } from "./pipelines.ts";
import { Recording } from "./recording.ts";
import { Storage } from "./storage.ts";
import { findAdapter, onExit } from "#gpu";

/** Commands that may wait outside a recording before they are submitted. */
const MAX_PENDING = 256;

/** Steps that may be under way at once: more only adds memory and delay. */
const MAX_IN_FLIGHT = 2;

const OPTIONAL_FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

export interface DeviceOptions {
  /** Default `auto`: hardware where there is some, otherwise software. `null` compiles everything and runs nothing (Node only). */
  readonly adapter?: AdapterPreference | "null";
  /** Lowers what kernels believe the adapter can do, to test for smaller devices. */
  readonly limits?: Partial<KernelLimits>;
}

/**
 * Opens the GPU: Dawn in Node, `navigator.gpu` in a browser.
 *
 * Asks for the adapter's real limits and for those optional features that it has.
 * @throws DeviceError if there is no adapter, with what to install.
 */
export async function requestDevice(options: DeviceOptions = {}): Promise<Device> {
  const found = await findAdapter(options.adapter ?? "auto");
  const { adapter } = found;
  const requiredLimits: Record<string, number> = {};
  for (const name of ["maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage", "maxComputeWorkgroupStorageSize", "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupSizeY", "maxComputeWorkgroupsPerDimension"] as const) {
    requiredLimits[name] = adapter.limits[name];
  }
  const requiredFeatures = OPTIONAL_FEATURES.filter((feature) => adapter.features.has(feature));
  const gpu = await adapter.requestDevice({ label: "sightline", requiredFeatures, requiredLimits });
  return new Device(gpu, found, options.limits);
}

/** A GPU with its buffers, pipelines and command queue. Everything that tensors do ends here. */
export class Device implements CommandSink {
  readonly gpu: GPUDevice;
  readonly adapter: AdapterSummary;
  readonly limits: KernelLimits;
  readonly buffers: BufferPool;
  readonly pipelines: PipelineCache;
  /** Resolves with the reason when the device is lost other than by {@link close}. */
  readonly lost: Promise<string>;
  /** Buffers that recordings lay their intermediates into; recordings run one after the other and share them. */
  readonly scratch: GPUBuffer[] = [];
  /** Counts moves of lasting memory (an optimiser gathers its parameters): recordings made before must be made again. */
  relocations = 0;
  /** Dispatches submitted so far, for benches and reports. */
  dispatched = 0;

  private recording: Recording | null = null;
  private scopes: Storage[][] = [];
  private pending: Command[] = [];
  private readonly inFlight: Promise<undefined>[] = [];
  private readonly checks: Promise<void>[] = [];
  private failure: DeviceError | null = null;
  private closed = false;

  constructor(gpu: GPUDevice, found: FoundAdapter, limits: Partial<KernelLimits> = {}) {
    this.gpu = gpu;
    this.adapter = describeAdapter(found);
    this.limits = {
      maxStorageBuffersPerShaderStage: gpu.limits.maxStorageBuffersPerShaderStage,
      maxStorageBufferBindingSize: gpu.limits.maxStorageBufferBindingSize,
      maxComputeWorkgroupStorageSize: gpu.limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: gpu.limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: gpu.limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupsPerDimension: gpu.limits.maxComputeWorkgroupsPerDimension,
      features: new Set(gpu.features),
      cooperativeWorkgroups: found.kind !== "software",
      emulateF16: false,
      ...limits,
    };
    this.buffers = new BufferPool(gpu, this.guard);
    this.pipelines = new PipelineCache(gpu, this.guard);
    gpu.onuncapturederror = (event) => this.fail(`${event.error.message}`);
    this.lost = gpu.lost.then(({ message, reason }) => {
      const text = `${reason}: ${message}`;
      if (!this.closed) this.failure = new DeviceError(`the device was lost (${text})`, "open a new one with requestDevice(), and load the last checkpoint");
      return text;
    });
    onExit(() => this.gpu.destroy());
  }

  /** The one line that says which adapter runs, and why. */
  get summary(): string {
    return showAdapter(this.adapter);
  }

  /** Where ops put their commands now. */
  get sink(): CommandSink {
    return this.recording ?? this;
  }

  /** The recording that is being traced, or null. */
  get tracing(): Recording | null {
    return this.recording;
  }

  /** Runs an action that may fail asynchronously; a failure is thrown by the next {@link settle}, with the label. */
  readonly guard = <T>(label: string, action: () => T): T => {
    for (const filter of ["validation", "out-of-memory", "internal"] as const) this.gpu.pushErrorScope(filter);
    try {
      return action();
    } finally {
      for (let i = 0; i < 3; i++) {
        const check = this.gpu.popErrorScope().then(
          (error) => (error === null ? undefined : this.fail(`${label}: ${error.message}`, error)),
          () => undefined, // the device is lost, and says so itself
        );
        this.checks.push(check);
      }
    }
  };

  /** Waits for the outcome of everything guarded so far. @throws DeviceError for the first failure. */
  async settle(): Promise<void> {
    await Promise.all(this.checks.splice(0));
    this.throwFailure();
  }

  allocate(size: number, label: string): Storage {
    const storage = this.allocatePersistent(size, label);
    this.scopes.at(-1)?.push(storage);
    return storage;
  }

  allocateConstant(data: ArrayBufferView, label: string): Storage {
    const storage = this.allocate(data.byteLength, label);
    this.write(storage, data);
    return storage;
  }

  /** Memory that no scope frees; `fresh` memory holds zeros. */
  allocatePersistent(size: number, label: string, fresh = false): Storage {
    return new Storage(size, label, { buffer: this.buffers.acquire(size, label, fresh), offset: 0, size });
  }

  /** Gives the memory of a storage back; using it afterwards is an error. */
  release(storage: Storage): void {
    const slice = storage.placed;
    if (slice === null || this.scratch.includes(slice.buffer)) return;
    if (storage.owner !== null) throw new DeviceError(`dispose: "${storage.label}" is an output of the recorded step "${storage.owner}", which writes it at each run`, "dispose the step instead");
    this.flush(); // commands that wait may still use it
    storage.unplace();
    this.buffers.release(slice.buffer);
  }

  append(command: Command): void {
    this.pending.push(command);
    if (this.pending.length >= MAX_PENDING) this.flush();
  }

  /**
   * Opens a scope: memory of tensors made until it ends is given back then. Write `using scope = device.scope()`.
   * Tensors made outside of any scope live until they are disposed.
   */
  scope(): Disposable {
    const storages: Storage[] = [];
    this.scopes.push(storages);
    return {
      [DISPOSE]: () => {
        this.flush();
        this.scopes = this.scopes.filter((open) => open !== storages);
        for (const storage of storages) this.release(storage);
      },
    };
  }

  /** Takes a storage out of all open scopes: it lives until it is released. */
  keep(storage: Storage): void {
    for (const scope of this.scopes) {
      const index = scope.indexOf(storage);
      if (index >= 0) scope.splice(index, 1);
    }
  }

  /** Collects the commands of `trace` in a recording instead of running them. */
  record<T>(name: string, trace: (recording: Recording) => T): { recording: Recording; result: T } {
    if (this.recording !== null) throw new DeviceError(`record: "${name}" was started inside the recording "${this.recording.name}"`);
    this.flush();
    const recording = new Recording(this, name);
    this.recording = recording;
    try {
      return { recording, result: trace(recording) };
    } finally {
      this.recording = null;
    }
  }

  /** Whether as many steps are under way as may be. */
  get busy(): boolean {
    return this.inFlight.length >= MAX_IN_FLIGHT;
  }

  /** Waits until fewer than two steps are under way. */
  async ready(): Promise<void> {
    while (this.busy) await this.inFlight.shift();
    this.throwFailure();
  }

  /** Replays a recording as soon as fewer than two steps are under way. */
  async run(recording: Recording): Promise<void> {
    if (this.busy) await this.ready();
    this.throwFailure();
    this.flush();
    recording.replay();
    this.dispatched += recording.dispatches;
    this.inFlight.push(this.gpu.queue.onSubmittedWorkDone().catch(() => undefined)); // a lost device says so itself
  }

  /** Submits the commands that wait outside a recording. */
  flush(): void {
    if (this.pending.length === 0) return;
    const commands = this.pending;
    this.pending = [];
    this.dispatched += commands.length;
    const names = [...new Set(commands.map((command) => command.name))].join(", ");
    this.guard(`running ${names}`, () => {
      const bound = commands.map((command) => bindCommand(this.gpu, this.pipelines, command));
      const encoder = this.gpu.createCommandEncoder({ label: "eager" });
      encodeCommands(encoder, bound, "eager");
      this.gpu.queue.submit([encoder.finish()]);
    });
  }

  /** Copies host data into a storage, after all commands so far and before all to come. */
  write(storage: Storage, data: ArrayBufferView, byteOffset = 0): void {
    this.flush();
    const slice = storage.placed;
    if (slice === null) throw new DeviceError(`write: "${storage.label}" has no memory: it was disposed, or it is an intermediate of a recording`);
    this.gpu.queue.writeBuffer(slice.buffer, slice.offset + byteOffset, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
  }

  /** Copies a storage's bytes (from `byteOffset`, that many) to the host, as they are after all commands so far. */
  async read(storage: Storage, byteOffset = 0, size = storage.size - byteOffset): Promise<ArrayBuffer> {
    if (this.recording !== null) {
      throw new DeviceError(`read: "${storage.label}" cannot be read while "${this.recording.name}" is being recorded`, "return it from the recorded function and read it there");
    }
    this.flush();
    const slice = storage.placed;
    if (slice === null || this.scratch.includes(slice.buffer)) {
      throw new DeviceError(`read: "${storage.label}" has no memory of its own: it was disposed, or it is an intermediate of a recording`, "return it from the recorded function");
    }
    const label = `readback of ${storage.label}`;
    const staging = this.guard(label, () => this.gpu.createBuffer({ label, size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST }));
    const encoder = this.gpu.createCommandEncoder({ label });
    encoder.copyBufferToBuffer(slice.buffer, slice.offset + byteOffset, staging, 0, size);
    this.gpu.queue.submit([encoder.finish()]);
    const mapped = staging.mapAsync(GPUMapMode.READ).catch((error: unknown) => this.fail(`${label}: ${String(error)}`));
    await this.settle();
    await mapped;
    this.throwFailure();
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return copy;
  }

  /** Live, pooled and peak memory of storage buffers, after the commands that wait are submitted. */
  memory(): MemoryReport {
    return this.buffers.report();
  }

  /** Waits until the queue is empty. */
  async idle(): Promise<void> {
    this.flush();
    await this.gpu.queue.onSubmittedWorkDone();
    this.inFlight.length = 0;
    await this.settle();
  }

  /** Waits for work under way and gives everything back. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.gpu.queue.onSubmittedWorkDone().catch(() => undefined);
    this.gpu.destroy();
  }

  private fail(message: string, error?: GPUError): void {
    const outOfMemory = typeof GPUOutOfMemoryError !== "undefined" && error instanceof GPUOutOfMemoryError;
    this.failure ??= new DeviceError(message.trim(), outOfMemory ? "the adapter is out of memory: use a smaller batch or picture size" : undefined);
  }

  private throwFailure(): void {
    if (this.failure === null) return;
    const failure = this.failure;
    if (!failure.message.startsWith("the device was lost")) this.failure = null;
    throw failure;
  }
}

/** A buffer of zeros cut into aligned slices, one for each size; its memory is given back when all are released. */
export function sliceBuffer(device: Device, sizes: readonly number[], label: string): Storage[] {
  const total = sizes.reduce((sum, size) => sum + alignBytes(size), 0);
  const buffer = device.buffers.acquire(total, label, true);
  let offset = 0;
  return sizes.map((size, i) => {
    if (i > 0) device.buffers.hold(buffer);
    const slice = new Storage(size, `${label} ${i}`, { buffer, offset, size });
    offset += alignBytes(size);
    return slice;
  });
}
