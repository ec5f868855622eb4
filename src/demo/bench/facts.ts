/** What the browser tells of the adapter. */

import { byteSize, thousands } from "../../core/format.ts";
import type { PageAdapter } from "../adapter.ts";

/** A line about the adapter. */
export interface Fact {
  readonly name: string;
  readonly value: string;
}

const LIMITS: readonly (readonly [name: keyof GPUSupportedLimits & string, title: string, show: (value: number) => string])[] = [
  ["maxBufferSize", "Largest buffer", byteSize],
  ["maxStorageBufferBindingSize", "Largest part of it that a kernel binds", byteSize],
  ["maxComputeWorkgroupStorageSize", "Memory that a workgroup shares", byteSize],
  ["maxComputeInvocationsPerWorkgroup", "Threads of a workgroup", thousands],
  ["maxStorageBuffersPerShaderStage", "Buffers of a kernel", thousands],
];

const FEATURES: readonly (readonly [name: string, title: string])[] = [
  ["shader-f16", "Numbers in half precision (shader-f16)"],
  ["subgroups", "Threads that exchange values directly (subgroups)"],
  ["timestamp-query", "The GPU's own clock (timestamp-query)"],
];

/** The adapter's name, optional features and limits. */
export function adapterFacts({ summary }: PageAdapter, adapter: GPUAdapter | null): readonly Fact[] {
  const maker = [summary.vendor, summary.architecture].filter((text) => text !== "").join(" ");
  return [
    { name: "Adapter", value: summary.description },
    { name: "Maker and family", value: maker === "" ? "not told" : maker },
    { name: "Kind", value: summary.kind === "software" ? "software: it computes on the processor" : "a graphics processor" },
    ...FEATURES.map(([name, title]) => ({ name: title, value: adapter === null ? "…" : adapter.features.has(name) ? "yes" : "no" })),
    ...LIMITS.map(([name, title, show]) => ({ name: title, value: adapter === null ? "…" : show(Number(adapter.limits[name])) })),
  ];
}
