import { afterAll, beforeAll } from "vitest";
import { requestDevice, type Device, type DeviceOptions } from "../src/device/device.ts";

/** A device that is opened before the tests of the calling file and closed after them. */
export function useDevice(options: DeviceOptions = {}): () => Device {
  let device: Device;
  beforeAll(async () => {
    device = await requestDevice(options);
  });
  afterAll(() => device.close());
  return () => device;
}
