import type { Device } from "./device.ts";

/** How long the news of a lost device may take after the failure that it caused, in milliseconds. */
const SHOWS_WITHIN = 200;

/** To be asked after a failure: why the device was lost; null if it was not. */
export function lossOf({ lost }: Device): Promise<string | null> {
  return Promise.race([lost, new Promise<null>((resolve) => setTimeout(resolve, SHOWS_WITHIN, null))]);
}
