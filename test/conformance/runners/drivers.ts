import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { unpackChromium } from "../../browser.ts";

/** A Vulkan driver that computes on the CPU, and how wgpu is brought to use it. */
export interface Driver {
  readonly name: string;
  missing(): string | null;
  /** Variables that the Vulkan loader reads. */
  readonly environment: Readonly<Record<string, string>>;
}

function driver(name: string, hint: string, find: () => string | undefined): Driver {
  return {
    name,
    missing: () => (find() === undefined ? `${name} is not installed: ${hint}` : null),
    get environment() {
      const file = find() ?? "";
      return { VK_DRIVER_FILES: file, VK_ICD_FILENAMES: file };
    },
  };
}

const DRIVERS = "/usr/share/vulkan/icd.d";

/** Mesa's; it has `shader-f16`. */
export const LAVAPIPE = driver("lavapipe", "apt-get install mesa-vulkan-drivers", () => {
  const file = existsSync(DRIVERS) ? readdirSync(DRIVERS).find((name) => name.startsWith("lvp_icd")) : undefined;
  return file && join(DRIVERS, file);
});

/** Google's, from npm's `@sparticuz/chromium`. */
export const SWIFTSHADER = driver("SwiftShader", "npm install @sparticuz/chromium", () => {
  const file = join(unpackChromium().folder, "vk_swiftshader_icd.json");
  return existsSync(file) ? file : undefined;
});
