import { bytesPerElement, hostDType, type DType, type HostDType } from "../core/dtype.ts";
import { sizeOf } from "../core/shape.ts";
import type { Grid, KernelLimits, TensorSpec } from "./kernel.ts";

/** Name and WGSL element type of one binding, such as `["x", "f32"]` or `["w", "vec4<f32>"]`. */
export type Binding = readonly [name: string, element: string];

/** Declares the storage bindings of a kernel, numbered from 0: `read` as read-only, then `write` as read-write. */
export function bindings(read: readonly Binding[], write: readonly Binding[]): string {
  const declare = ([name, element]: Binding, index: number, access: string): string =>
    `@group(0) @binding(${index}) var<storage, ${access}> ${name}: array<${element}>;`;
  return [
    ...read.map((binding, i) => declare(binding, i, "read")),
    ...write.map((binding, i) => declare(binding, read.length + i, "read_write")),
  ].join("\n");
}

/**
 * The grid for `total` workgroups, folded into two dimensions where one would pass the adapter's limit.
 * The shader finds its number with {@link workgroupNumber} and must return early when it is ≥ total.
 */
export function foldGrid(total: number, limits: KernelLimits): Grid {
  const max = limits.maxComputeWorkgroupsPerDimension;
  if (total <= max) return [total, 1, 1];
  const rows = Math.ceil(total / max);
  return [Math.ceil(total / rows), rows, 1];
}

/** WGSL for the flat number of a workgroup in a grid of {@link foldGrid}; `group` and `groups` are the builtins. */
export function workgroupNumber(group = "group", groups = "groups"): string {
  return `(${group}.x + ${group}.y * ${groups}.x)`;
}

/** The usual parameters of an entry point: `group` (workgroup_id), `groups` (num_workgroups), `lane` (local index). */
export const ENTRY_PARAMETERS =
  "@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32";

/** A finite f32 literal that WGSL reads back to the same bits. */
export function f32(value: number): string {
  const text = Math.fround(value).toString();
  return /[.e]/.test(text) ? `${text}f` : `${text}.0f`;
}

/** `0 … n − 1`, to repeat a line of WGSL. */
export function upTo(n: number): number[] {
  return [...Array(n).keys()];
}

/** Bytes of all tensors, each counted once: the memory side of a cost rule. */
export function bytesOf(...specs: readonly TensorSpec[]): number {
  return specs.reduce((sum, spec) => sum + sizeOf(spec.shape) * bytesPerElement(spec.dtype), 0);
}

/** The type in which WGSL text handles a dtype; storage in f16 is added to the text afterwards. */
export function wgslType(dtype: DType): HostDType {
  return hostDType(dtype);
}

/** f16 where all float tensors are, otherwise f32: the dtype of what is computed from them. */
export function commonFloat(...specs: readonly TensorSpec[]): DType {
  return specs.every(({ dtype }) => dtype === "f16") ? "f16" : "f32";
}

/** A spec in f32, the type of most outputs. */
export function spec(shape: readonly number[], dtype: DType = "f32"): TensorSpec {
  return { shape, dtype };
}
