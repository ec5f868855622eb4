import { DeviceError } from "../core/errors.ts";
import { isCpuAdapter, type AdapterPreference, type FoundAdapter } from "./adapter.ts";

/**
 * Finds an adapter through `navigator.gpu`.
 * @throws DeviceError if the browser has no WebGPU or no adapter.
 */
export async function findAdapter(preference: AdapterPreference): Promise<FoundAdapter> {
  if (globalThis.navigator?.gpu === undefined) {
    throw new DeviceError("requestDevice: this browser has no WebGPU (navigator.gpu is missing)", "use a current Chrome, Edge, Firefox or Safari, over https or on localhost");
  }
  const adapter = await navigator.gpu.requestAdapter({
    powerPreference: "high-performance",
    forceFallbackAdapter: preference === "software",
  });
  if (adapter === null) {
    throw new DeviceError(`requestDevice: the browser offers no ${preference === "software" ? "software " : ""}WebGPU adapter`, "update the graphics driver, or enable hardware acceleration in the browser's settings");
  }
  const kind = isCpuAdapter(adapter.info) ? "software" : "hardware";
  if (preference === "hardware" && kind !== "hardware") {
    throw new DeviceError("requestDevice: asked for a hardware adapter, but the browser offers only a software one", "enable hardware acceleration in the browser's settings");
  }
  return { adapter, kind, reason: "the browser's choice" };
}

/** Nothing to do in a browser; Node ends its drivers here. */
export function onExit(_close: () => void): void {}
