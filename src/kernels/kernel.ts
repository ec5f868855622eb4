import type { DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";

/** What a kernel knows of a tensor: never its values. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** What a kernel knows of the device: numbers of the WebGPU specification, and what they mean for speed. */
export interface KernelLimits {
  readonly maxStorageBuffersPerShaderStage: number;
  readonly maxStorageBufferBindingSize: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupSizeX: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly features: ReadonlySet<string>;
  /**
   * Whether threads of a workgroup share memory on the chip and run side by side, so that tiles in workgroup memory
   * and tree reductions pay. On a CPU adapter workgroup memory is plain memory and every barrier suspends each
   * thread in turn: there, one thread that does the whole job wins.
   */
  readonly cooperativeWorkgroups: boolean;
  /** Stores f16 tensors as f32 values rounded to f16: shows what f16 does without `shader-f16`. */
  readonly emulateF16: boolean;
}

/** Workgroups along x, y and z. */
export type Grid = readonly [number, number, number];

/** One dispatch: entry point `main` of the WGSL text, over the grid. */
export interface Program {
  readonly wgsl: string;
  readonly grid: Grid;
}

/** Work of one dispatch; bytes count each tensor once, as if caches were perfect. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/** A part of a tensor that lies in one piece: what a dispatch binds of it. */
export interface Window extends TensorSpec {
  /** Elements of the tensor before it; a multiple of 256 bytes, where bindings may begin. */
  readonly begin: number;
}

/** One of several dispatches that together do a kernel's work. */
export interface Part<Attrs> {
  /** What it binds of each input and output, in binding order. */
  readonly windows: readonly Window[];
  readonly attrs: Attrs;
}

/**
 * A description of one dispatch: a pure function from shapes, attributes and limits to WGSL.
 *
 * Bindings are numbered from 0 in group 0: first the inputs in order (read-only, or read-write where listed in
 * `updates`), then the outputs (read-write). Outputs come from the pool with undefined contents: write every element.
 */
export interface Kernel<Attrs = Record<never, never>> {
  readonly name: string;
  /** Indices of inputs that are changed in place. */
  readonly updates?: readonly number[];
  /** Specs of the outputs. @throws ShapeError if the inputs don't fit. */
  infer(inputs: readonly TensorSpec[], attrs: Attrs): TensorSpec[];
  cost(inputs: readonly TensorSpec[], attrs: Attrs): Cost;
  program(inputs: readonly TensorSpec[], attrs: Attrs, limits: KernelLimits): Program;
  /**
   * Cuts the work into dispatches that bind no more of a tensor than the adapter allows, to be run in order. Asked only
   * where a tensor is larger than that; null where it cannot be cut far enough.
   */
  parts?(inputs: readonly TensorSpec[], attrs: Attrs, limits: KernelLimits): readonly Part<Attrs>[] | null;
}
