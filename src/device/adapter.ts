import { DeviceError } from "../core/errors.ts";

/** Which adapter to use; `auto` prefers hardware and falls back to software. */
export type AdapterPreference = "auto" | "hardware" | "software";

/** An adapter that was found, and why this one. */
export interface FoundAdapter {
  readonly adapter: GPUAdapter;
  readonly kind: "hardware" | "software" | "null";
  readonly reason: string;
}

/** What people are told of an adapter. */
export interface AdapterSummary {
  readonly kind: FoundAdapter["kind"];
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly reason: string;
}

/** Whether the adapter computes on the CPU: a fallback adapter, or a driver known to be one. */
export function isCpuAdapter(info: GPUAdapterInfo): boolean {
  const name = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render/i.test(name);
}

export function describeAdapter(found: FoundAdapter): AdapterSummary {
  const { vendor, architecture, device, description } = found.adapter.info;
  const summary = { vendor, architecture, description: description || device || "unnamed adapter" };
  return { kind: found.kind, ...summary, reason: found.reason };
}

/** `software adapter SwiftShader … (google swiftshader)`: the one line that says which adapter runs. */
export function showAdapter(summary: AdapterSummary): string {
  const maker = [summary.vendor, summary.architecture].filter((text) => text !== "").join(" ");
  return `${summary.kind} adapter: ${summary.description}${maker === "" ? "" : ` (${maker})`}; ${summary.reason}`;
}

/** @throws DeviceError if the text is no preference. */
export function parsePreference(text: string): AdapterPreference {
  if (text === "auto" || text === "hardware" || text === "software") return text;
  throw new DeviceError(`SIGHTLINE_ADAPTER: must be auto, hardware or software; got "${text}"`);
}
