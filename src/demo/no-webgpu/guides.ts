/**
 * Where WebGPU is, and what to do where it is missing, by browser and system.
 *
 * Source: github.com/gpuweb/gpuweb/wiki/Implementation-Status (April 2026), MDN's browser compatibility data for `GPU`, developer.chrome.com's
 * "WebGPU: Troubleshooting tips and fixes", MDN's "Experimental features in Firefox"; as of November 2026.
 */

import type { BrowserName, SystemName, Visitor } from "./visitor.ts";

/** What to do, and what to type or paste for it: pages may not link to a browser's own settings. */
export interface Step {
  readonly text: string;
  readonly paste?: string;
}

/** One browser on one system, or several that are alike. */
export interface Guide {
  readonly title: string;
  readonly browsers: readonly BrowserName[];
  readonly systems: readonly SystemName[];
  /** From which version on WebGPU is there. */
  readonly since: string;
  readonly steps: readonly Step[];
}

const CHROMIUM: readonly BrowserName[] = ["chrome", "edge", "brave", "opera"];

const ACCELERATION: Step = { text: "Open this address, switch on “Use graphics acceleration when available”, and start the browser again. In Edge, Brave and Opera the address begins with the browser’s own name.", paste: "chrome://settings/system" };
const STATUS: Step = { text: "If it is still missing, this address says why: look for “WebGPU” and for “Problems detected”.", paste: "chrome://gpu" };
const FIREFOX_ACCELERATION: Step = { text: "Open this address; under “Performance” uncheck “Use recommended performance settings”, check “Use hardware acceleration when available”, and start Firefox again.", paste: "about:preferences#general" };
const FIREFOX_STATUS: Step = { text: "If it is still missing, this address says why: look under “Graphics” for “WebGPU” and for drivers that are blocked.", paste: "about:support" };
const FIREFOX_SWITCH: Step = { text: "Open this address, search for “dom.webgpu”, set the next two names to true, and start Firefox again.", paste: "about:config" };
const FIREFOX_NAMES: readonly Step[] = [
  { text: "WebGPU for pages:", paste: "dom.webgpu.enabled" },
  { text: "WebGPU for the workers that this page computes in:", paste: "dom.webgpu.workers.enabled" },
];
const FLAG: Step = { text: "As the last resort, this setting switches WebGPU on for graphics processors that were not tested with it. Pages may then crash or look wrong; switch it off again afterwards.", paste: "chrome://flags/#enable-unsafe-webgpu" };

export const GUIDES: readonly Guide[] = [
  {
    title: "Chrome or Edge on Windows",
    browsers: CHROMIUM,
    systems: ["windows"],
    since: "There since version 113; on Windows for ARM behind a flag.",
    steps: [{ text: "Update the browser: this address looks for a new version.", paste: "chrome://settings/help" }, ACCELERATION, { text: "Install the newest driver of the graphics processor, from Windows Update or from NVIDIA, AMD or Intel." }, STATUS, FLAG],
  },
  {
    title: "Chrome or Edge on macOS",
    browsers: CHROMIUM,
    systems: ["macos"],
    since: "There since version 113.",
    steps: [{ text: "Update the browser: this address looks for a new version.", paste: "chrome://settings/help" }, ACCELERATION, { text: "Update macOS: the drivers come with it." }, STATUS],
  },
  {
    title: "Chrome or Edge on Linux",
    browsers: CHROMIUM,
    systems: ["linux"],
    since: "There since version 144 for Intel graphics from the 12th generation on, since version 147 for NVIDIA with driver 535.183.01 or newer. Others have to ask for it.",
    steps: [
      { text: "Update the browser, and install a Vulkan driver. For AMD and Intel:", paste: "sudo apt install mesa-vulkan-drivers" },
      ACCELERATION,
      { text: "For other graphics processors, AMD’s among them, close the browser and start it with:", paste: "google-chrome --enable-unsafe-webgpu --ozone-platform=x11 --use-angle=vulkan --enable-features=Vulkan,VulkanFromANGLE" },
      STATUS,
    ],
  },
  {
    title: "Chrome on ChromeOS",
    browsers: CHROMIUM,
    systems: ["chromeos"],
    since: "There since version 113.",
    steps: [{ text: "Update ChromeOS: Settings, About ChromeOS, Check for updates." }, STATUS, FLAG],
  },
  {
    title: "Chrome, Edge or Samsung Internet on Android",
    browsers: [...CHROMIUM, "samsung"],
    systems: ["android"],
    since: "There since Chrome 121 on Android 12 or newer with graphics of Qualcomm, ARM or Intel, and since Chrome 139 on Android 16 with those of Imagination.",
    steps: [{ text: "Update the browser in the Play Store, and Android in the phone’s settings." }, { text: "In another browser than Chrome, try Chrome: it has WebGPU first." }, FLAG],
  },
  {
    title: "Safari on macOS",
    browsers: ["safari"],
    systems: ["macos"],
    since: "There since Safari 26 on macOS 26 (Tahoe).",
    steps: [{ text: "Update macOS: System Settings, General, Software Update." }, { text: "On an older macOS, open this page in Chrome or Edge, or, on a Mac with Apple’s own processor, in Firefox 147 or newer." }],
  },
  {
    title: "iPhone and iPad, in any browser",
    browsers: ["safari", "chrome", "edge", "firefox", "brave", "opera"],
    systems: ["ios"],
    since: "There since iOS 26 and iPadOS 26. All browsers there are made of Safari’s parts: another one does not help.",
    steps: [{ text: "Update the system: Settings, General, Software Update." }, { text: "If WebGPU was switched off: Settings, Apps, Safari, Advanced, Feature Flags, WebGPU." }],
  },
  {
    title: "Firefox on Windows",
    browsers: ["firefox"],
    systems: ["windows"],
    since: "There since version 142.",
    steps: [{ text: "Update Firefox: menu, Help, About Firefox." }, FIREFOX_ACCELERATION, { text: "Install the newest driver of the graphics processor, from Windows Update or from NVIDIA, AMD or Intel." }, FIREFOX_STATUS],
  },
  {
    title: "Firefox on macOS",
    browsers: ["firefox"],
    systems: ["macos"],
    since: "On Macs with Apple’s own processor since version 145 on macOS 26, since version 147 on older systems. On Macs with Intel’s, Firefox 152 still has to be asked for it.",
    steps: [{ text: "Update Firefox: menu Firefox, About Firefox." }, FIREFOX_ACCELERATION, FIREFOX_SWITCH, ...FIREFOX_NAMES, FIREFOX_STATUS],
  },
  {
    title: "Firefox on Linux",
    browsers: ["firefox"],
    systems: ["linux"],
    since: "Firefox Nightly has it. Firefox 152 has it too, but it has to be asked for it.",
    steps: [{ text: "Update Firefox, and install a Vulkan driver. For AMD and Intel:", paste: "sudo apt install mesa-vulkan-drivers" }, FIREFOX_SWITCH, ...FIREFOX_NAMES, FIREFOX_STATUS],
  },
  {
    title: "Firefox on Android",
    browsers: ["firefox"],
    systems: ["android"],
    since: "Not in the released Firefox yet.",
    steps: [{ text: "Open this page in Chrome, on Android 12 or newer." }],
  },
  {
    title: "Inside an app: Instagram, Facebook, LinkedIn, WeChat and others",
    browsers: ["in-app"],
    systems: ["android", "ios", "windows", "macos", "linux", "chromeos", "other"],
    since: "The window that an app opens for links is often less than a browser.",
    steps: [{ text: "Open the menu of this window, mostly ⋯ or ⋮, and choose “Open in browser”, “Open in Chrome” or “Open in Safari”." }, { text: "Or copy this page’s address into a browser." }],
  },
];

/** The guide for a visitor; none where the browser or the system is unknown. */
export function guideFor({ browser, system }: Visitor): Guide | undefined {
  return GUIDES.find(({ browsers, systems }) => browsers.includes(browser) && systems.includes(system));
}

/** What stands in the way. */
export type Cause = "insecure" | "no-api" | "no-adapter";

/** From what the page finds in its browser. */
export function causeOf({ isSecure, hasApi }: { readonly isSecure: boolean; readonly hasApi: boolean }): Cause {
  return hasApi ? "no-adapter" : isSecure ? "no-api" : "insecure";
}

/** Why there is no WebGPU, in a sentence or two. */
export const CAUSES: Readonly<Record<Cause, { readonly title: string; readonly text: string }>> = {
  insecure: { title: "This page must be opened over https", text: "Browsers offer WebGPU only to pages from https addresses, and from localhost. This page came over http, or from a file." },
  "no-api": { title: "This browser has no WebGPU yet", text: "The page computes on your graphics processor through WebGPU, which this browser does not offer, or has switched off." },
  "no-adapter": { title: "The browser finds no graphics processor to use", text: "It knows WebGPU, but offers no adapter. Mostly graphics acceleration is switched off, or the graphics driver is old or known to be faulty." },
};
