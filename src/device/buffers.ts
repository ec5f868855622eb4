import { DeviceError } from "../core/errors.ts";

/** Buffers are sized in these steps, so that freed ones fit again. 256 is also the alignment of storage offsets. */
export const BUFFER_ALIGNMENT = 256;

/** What the device holds at this moment. */
export interface MemoryReport {
  readonly liveBuffers: number;
  readonly liveBytes: number;
  readonly pooledBuffers: number;
  readonly pooledBytes: number;
  /** The most that live and pooled buffers held together. */
  readonly peakBytes: number;
}

/** Rounds up to the alignment of buffers and offsets. */
export function alignBytes(bytes: number): number {
  return Math.ceil(bytes / BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT;
}

/** Reports a failure of something that WebGPU does asynchronously, with the label of what caused it. */
export type Guard = <T>(label: string, action: () => T) => T;

/** Storage buffers: live ones that somebody owns, and free ones that wait for the next owner of about that size. */
export class BufferPool {
  private readonly gpu: GPUDevice;
  private readonly guard: Guard;
  private readonly free = new Map<number, GPUBuffer[]>();
  private readonly holders = new Map<GPUBuffer, number>();
  private liveBytes = 0;
  private pooledBytes = 0;
  private peakBytes = 0;

  constructor(gpu: GPUDevice, guard: Guard) {
    this.gpu = gpu;
    this.guard = guard;
  }

  /**
   * A buffer of at least `bytes`; its contents are undefined unless `fresh`, which means zeros.
   * @throws DeviceError if the adapter allows no buffer of that size.
   */
  acquire(bytes: number, label: string, fresh = false): GPUBuffer {
    const size = alignBytes(bytes);
    const { maxBufferSize } = this.gpu.limits;
    if (size > maxBufferSize) {
      throw new DeviceError(`${label}: needs a buffer of ${size} bytes; this adapter allows ${maxBufferSize}`, "use a smaller batch or picture size");
    }
    const reused = fresh ? undefined : this.free.get(size)?.pop();
    if (reused !== undefined) this.pooledBytes -= size;
    const buffer = reused ?? this.create(size, label);
    this.holders.set(buffer, 1);
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes + this.pooledBytes);
    return buffer;
  }

  /** Adds a holder to a live buffer: it is reused only when each of them has released it. */
  hold(buffer: GPUBuffer): void {
    this.holders.set(buffer, this.holders.get(buffer)! + 1);
  }

  /** Gives a buffer back for reuse. Commands already in the queue run before its next owner's. */
  release(buffer: GPUBuffer): void {
    const holders = this.holders.get(buffer);
    if (holders === undefined) return;
    if (holders > 1) {
      this.holders.set(buffer, holders - 1);
      return;
    }
    this.holders.delete(buffer);
    this.liveBytes -= buffer.size;
    this.pooledBytes += buffer.size;
    const list = this.free.get(buffer.size);
    if (list === undefined) this.free.set(buffer.size, [buffer]);
    else list.push(buffer);
  }

  /** Destroys the free buffers. */
  trim(): void {
    for (const list of this.free.values()) for (const buffer of list) buffer.destroy();
    this.free.clear();
    this.pooledBytes = 0;
  }

  report(): MemoryReport {
    const pooledBuffers = [...this.free.values()].reduce((sum, list) => sum + list.length, 0);
    return { liveBuffers: this.holders.size, liveBytes: this.liveBytes, pooledBuffers, pooledBytes: this.pooledBytes, peakBytes: this.peakBytes };
  }

  private create(size: number, label: string): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    return this.guard(`buffer of ${size} bytes for ${label}`, () => this.gpu.createBuffer({ label, size, usage }));
  }
}
