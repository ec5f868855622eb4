import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";
import { LAVAPIPE } from "./conformance/runners/drivers.ts";

const EXECUTABLES = ["/usr/bin/firefox-esr", "/usr/bin/firefox"] as const;

/** WebGPU is still behind preferences on Linux, and refuses drivers that compute on the CPU. */
const PREFERENCES = { "dom.webgpu.enabled": true, "dom.webgpu.workers.enabled": true, "gfx.webgpu.ignore-blocklist": true };

function executable(): string | undefined {
  return EXECUTABLES.find(existsSync);
}

/** What must be installed before {@link openFirefox} can work, or null. */
export function missingForFirefox(): string | null {
  return executable() === undefined ? "Firefox is not installed: apt-get install firefox-esr" : LAVAPIPE.missing();
}

/** A headless Firefox (Debian's), whose WebGPU is wgpu, on lavapipe. */
export function openFirefox(preferences: Readonly<Record<string, unknown>> = {}): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    protocol: "webDriverBiDi",
    executablePath: executable(),
    headless: true,
    extraPrefsFirefox: { ...PREFERENCES, ...preferences },
    env: { ...process.env, ...LAVAPIPE.environment },
    protocolTimeout: 600_000, // software adapters are slow
  });
}
