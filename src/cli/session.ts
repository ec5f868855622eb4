import { requestDevice, type Device } from "../device/device.ts";
import type { AdapterPreference } from "../device/adapter.ts";

/** Opens the device, gives it to a task, and gives it back whatever happens. */
export async function withDevice<T>(adapter: AdapterPreference, task: (device: Device) => Promise<T>): Promise<T> {
  const device = await requestDevice({ adapter });
  try {
    return await task(device);
  } finally {
    await device.close();
  }
}

