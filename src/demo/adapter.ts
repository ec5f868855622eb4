import { describeAdapter, isCpuAdapter, type AdapterSummary } from "../device/adapter.ts";

/** The adapter that this page computes on. */
export interface PageAdapter {
  readonly summary: AdapterSummary;
  /** Short, for people: its maker and family, or what else is known. */
  readonly label: string;
}

/** Null where the browser has no WebGPU, or no adapter for it. */
export async function findPageAdapter(): Promise<PageAdapter | null> {
  const adapter = (await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" })) ?? null;
  if (adapter === null) return null;
  const summary = describeAdapter({ adapter, kind: isCpuAdapter(adapter.info) ? "software" : "hardware", reason: "the browser's choice" });
  const known = [summary.vendor, summary.architecture].filter((text) => text !== "").join(" ");
  return { summary, label: summary.kind === "software" ? "software adapter: slow" : known === "" ? "WebGPU" : known };
}
