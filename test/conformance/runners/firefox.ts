import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";
import { LAVAPIPE } from "./drivers.ts";
import { visitWith } from "./page.ts";
import { serveSuite, type Runner } from "./runner.ts";

const EXECUTABLES = ["/usr/bin/firefox-esr", "/usr/bin/firefox"] as const;

/** WebGPU is still behind a preference on Linux, and refuses drivers that compute on the CPU. */
const PREFERENCES = { "dom.webgpu.enabled": true, "gfx.webgpu.ignore-blocklist": true };

function executable(): string | undefined {
  return EXECUTABLES.find(existsSync);
}

function openFirefox(): Promise<Browser> {
  return puppeteer.launch({
    browser: "firefox",
    protocol: "webDriverBiDi",
    executablePath: executable(),
    headless: true,
    extraPrefsFirefox: PREFERENCES,
    env: { ...process.env, ...LAVAPIPE.environment },
  });
}

/** Debian's Firefox, whose WebGPU is wgpu, on lavapipe. */
export const firefox: Runner = {
  name: "firefox",
  title: "Firefox (wgpu), lavapipe",
  missing() {
    if (executable() === undefined) return "Firefox is not installed: apt-get install firefox-esr";
    return LAVAPIPE.missing();
  },
  run: (work, emit) => serveSuite(work, emit, visitWith(openFirefox)),
};
