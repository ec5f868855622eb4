import type { BoundCommand, Command, CommandSink } from "./commands.ts";
import { bindCommand, encodeCommands } from "./commands.ts";
import type { Device } from "./device.ts";
import type { CompileProgress } from "./pipelines.ts";
import { Storage } from "./storage.ts";

/** A scratch buffer may be this many times larger than what is put into it; beyond, a new one is made. */
const MAX_WASTE = 4;

/**
 * A list of commands that is planned once and replayed many times.
 *
 * While it is traced, results are virtual. {@link finish} drops commands whose results nobody needs, finds when each
 * intermediate is last used, lets intermediates that don't live at the same time share scratch buffers, compiles the
 * pipelines and creates the bind groups. {@link replay} then only encodes.
 */
export class Recording implements CommandSink {
  readonly name: string;
  private readonly device: Device;
  private commands: Command[] = [];
  private bound: BoundCommand[] = [];
  private readonly virtual = new Set<Storage>();
  private readonly owned: Storage[] = [];
  private readonly beforeReplay: (() => void)[] = [];

  constructor(device: Device, name: string) {
    this.device = device;
    this.name = name;
  }

  /** Dispatches of one replay. */
  get dispatches(): number {
    return this.commands.length;
  }

  /** The commands in their order, for benches and reports. */
  get list(): readonly Command[] {
    return this.commands;
  }

  allocate(size: number, label: string): Storage {
    const storage = new Storage(size, label);
    this.virtual.add(storage);
    return storage;
  }

  allocateConstant(data: ArrayBufferView, label: string): Storage {
    const storage = this.device.allocatePersistent(data.byteLength, label);
    this.device.write(storage, data);
    this.owned.push(storage);
    return storage;
  }

  append(command: Command): void {
    this.commands.push(command);
  }

  /** Registers what has to be written before each replay: a step number, a random counter. */
  onReplay(action: () => void): void {
    this.beforeReplay.push(action);
  }

  /** Ends the trace; `kept` are the results that must survive a replay. */
  async finish(kept: readonly Storage[], onProgress?: CompileProgress): Promise<void> {
    for (const storage of kept) {
      if (!this.virtual.has(storage) || storage.placed !== null) continue;
      const persistent = this.device.allocatePersistent(storage.size, storage.label);
      storage.place(persistent.placed!);
      storage.owner = this.name;
      this.owned.push(storage);
    }
    this.dropUnused(kept);
    this.planIntermediates();
    await this.device.pipelines.prepare(this.commands.map(({ name, program, access }) => ({ name, wgsl: program.wgsl, access })), onProgress);
    this.bound = this.device.guard(`recording "${this.name}"`, () => this.commands.map((command) => bindCommand(this.device.gpu, this.device.pipelines, command)));
    await this.device.settle();
  }

  /** Encodes and submits all commands; does not wait. */
  replay(): void {
    for (const action of this.beforeReplay) action();
    const encoder = this.device.gpu.createCommandEncoder({ label: this.name });
    encodeCommands(encoder, this.bound, this.name);
    this.device.gpu.queue.submit([encoder.finish()]);
  }

  dispose(): void {
    for (const storage of this.owned) {
      storage.owner = null;
      this.device.release(storage);
    }
    this.owned.length = 0;
    this.commands = [];
    this.bound = [];
  }

  private dropUnused(kept: readonly Storage[]): void {
    const needed = new Set(kept);
    const used: Command[] = [];
    for (const command of this.commands.toReversed()) {
      const lasting = (storage: Storage, i: number): boolean => command.access[i] === "w" && (needed.has(storage) || storage.placed !== null);
      if (!command.storages.some(lasting)) continue;
      for (const storage of command.storages) needed.add(storage);
      used.push(command);
    }
    this.commands = used.reverse();
  }

  private planIntermediates(): void {
    const lastUse = new Map<Storage, number>();
    this.commands.forEach((command, index) => {
      for (const storage of command.storages) if (this.virtual.has(storage) && storage.placed === null) lastUse.set(storage, index);
    });
    const free = [...this.device.scratch];
    this.commands.forEach((command, index) => {
      for (const storage of command.storages) {
        if (lastUse.has(storage) && storage.placed === null) storage.place({ buffer: this.takeScratch(free, storage), offset: 0, size: storage.size });
      }
      for (const storage of new Set(command.storages)) {
        if (lastUse.get(storage) === index) free.push(storage.placed!.buffer);
      }
    });
  }

  private takeScratch(free: GPUBuffer[], storage: Storage): GPUBuffer {
    let best = -1;
    free.forEach((buffer, i) => {
      const fits = buffer.size >= storage.size && buffer.size <= Math.max(storage.size, 65_536) * MAX_WASTE;
      if (fits && (best < 0 || buffer.size < free[best].size)) best = i;
    });
    if (best >= 0) return free.splice(best, 1)[0];
    const buffer = this.device.buffers.acquire(storage.size, `scratch of ${this.name}`);
    this.device.scratch.push(buffer);
    return buffer;
  }
}
