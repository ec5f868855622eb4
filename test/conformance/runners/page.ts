import type { Browser } from "puppeteer-core";
import { DeviceError } from "../../../src/core/errors.ts";

/** Opens a page of a browser that runs the suite, and stays until it is finished. */
export function visitWith(open: () => Promise<Browser>): (origin: string, finished: Promise<void>) => Promise<string> {
  return async (origin, finished) => {
    const browser = await open();
    try {
      const page = await browser.newPage();
      const ended = new Promise<never>((_, reject) => {
        browser.once("disconnected", () => reject(new DeviceError("the browser ended before the suite did")));
        page.once("error", (error) => reject(new DeviceError(`the page crashed: ${error.message}`)));
        page.once("pageerror", (error) => reject(error instanceof Error ? error : new Error(String(error))));
      });
      await page.goto(origin);
      await Promise.race([finished, ended]);
      return readable(await browser.version());
    } finally {
      await browser.close();
    }
  };
}

/** `firefox/153.7.0` as people write it: Firefox 153.7.0. */
function readable(version: string): string {
  return version.replace("/", " ").replace(/^[a-z]/, (letter) => letter.toUpperCase());
}
