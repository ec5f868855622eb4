import { openBrowser } from "../../browser.ts";
import { visitWith } from "./page.ts";
import { serveSuite, type Runner } from "./runner.ts";

/** The Chromium that npm's `@sparticuz/chromium` carries, on its own SwiftShader. */
export const chromium: Runner = {
  name: "chromium",
  title: "Chromium (Dawn)",
  missing: () => null,
  run: (work, emit) => serveSuite(work, emit, visitWith(openBrowser)),
};
