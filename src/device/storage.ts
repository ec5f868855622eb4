/** A part of a GPU buffer, in bytes. */
export interface BufferSlice {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

/**
 * The memory behind one or more tensors (views share it). Until it is placed it is virtual: a recording decides where
 * its intermediates live only when it knows their lifetimes.
 */
export class Storage {
  /** Bytes, a multiple of 4. */
  readonly size: number;
  readonly label: string;
  /** The recording whose replays write it: it gives the memory back, nobody else. */
  owner: string | null = null;
  private slice: BufferSlice | null;

  constructor(size: number, label: string, slice: BufferSlice | null = null) {
    this.size = size;
    this.label = label;
    this.slice = slice;
  }

  get placed(): BufferSlice | null {
    return this.slice;
  }

  place(slice: BufferSlice): void {
    this.slice = slice;
  }

  unplace(): void {
    this.slice = null;
  }
}
