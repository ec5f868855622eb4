import type { Browser } from "puppeteer-core";
import { describe, expect, test } from "vitest";
import { openBrowser } from "./browser.ts";
import { missingForFirefox, openFirefox } from "./firefox.ts";

/** A browser in which pages are tested. */
export interface TestedBrowser {
  readonly browser: "Chromium" | "Firefox";
  open(): Promise<Browser>;
}

const BROWSERS: readonly (TestedBrowser & { missing(): string | null })[] = [
  { browser: "Chromium", open: openBrowser, missing: () => null },
  { browser: "Firefox", open: () => openFirefox(), missing: missingForFirefox },
];

/** The same tests in each browser; where one is not installed, a skipped test says so in their place. */
export function inBrowsers(title: string, tests: (tested: TestedBrowser) => void): void {
  describe.each(BROWSERS)(`${title} in $browser`, ({ missing, ...tested }) => {
    const reason = missing();
    if (reason === null) return tests(tested);
    test("is there", (context) => {
      expect(process.env.CI, reason).toBeUndefined(); // where submissions are checked, every browser is there
      context.skip(reason);
    });
  });
}
