/** Which browser and system a page is open in, as far as they tell: enough to say where WebGPU is switched on. */

export const BROWSERS = ["chrome", "edge", "firefox", "safari", "samsung", "opera", "brave", "in-app", "other"] as const;
export type BrowserName = (typeof BROWSERS)[number];

export const SYSTEMS = ["windows", "macos", "linux", "chromeos", "android", "ios", "other"] as const;
export type SystemName = (typeof SYSTEMS)[number];

/** Whoever looks at the page. */
export interface Visitor {
  readonly browser: BrowserName;
  readonly system: SystemName;
}

/** What `navigator` tells; `brands` are those of `userAgentData`, which Chromium alone has. */
export interface NavigatorFacts {
  readonly userAgent: string;
  readonly brands?: readonly string[];
  /** Tells an iPad, which calls itself a Mac, from one. */
  readonly maxTouchPoints?: number;
}

/** Apps that show pages in a window of their own: their names as they stand in user agents. The last is Android's mark of any such window. */
const IN_APP = /\b(FBAN|FBAV|FB_IAB|Instagram|Line\/|MicroMessenger|Snapchat|LinkedInApp|Twitter|Pinterest|TikTok|musical_ly|Bytedance|GSA\/)|; wv\)/;

/** The first that matches: browsers also name those that they are like, so the order matters. */
const MARKS: readonly (readonly [name: BrowserName, mark: RegExp])[] = [
  ["samsung", /SamsungBrowser\//],
  ["opera", /OPR\/|OPT\/|Opera\//],
  ["edge", /Edg(A|iOS)?\//],
  ["firefox", /Firefox\/|FxiOS\//],
  ["chrome", /Chrome\/|Chromium\/|CriOS\//],
  ["safari", /Version\/.*Safari\//],
];

/** Recognises the visitor. Where nothing is known, the names are "other". */
export function recognise({ userAgent, brands = [], maxTouchPoints = 0 }: NavigatorFacts): Visitor {
  const system = systemOf(userAgent, maxTouchPoints);
  const named = brands.includes("Brave") ? "brave" : (MARKS.find(([, mark]) => mark.test(userAgent))?.[0] ?? "other");
  const isInApp = IN_APP.test(userAgent) || (system === "ios" && named === "other" && userAgent.includes("AppleWebKit")); // browsers name themselves there too
  return { browser: isInApp ? "in-app" : named, system };
}

function systemOf(userAgent: string, maxTouchPoints: number): SystemName {
  if (/iPhone|iPad|iPod/.test(userAgent)) return "ios";
  if (/Android/.test(userAgent)) return "android";
  if (/CrOS/.test(userAgent)) return "chromeos";
  if (/Windows/.test(userAgent)) return "windows";
  if (/Macintosh/.test(userAgent)) return maxTouchPoints > 1 ? "ios" : "macos";
  return /Linux|X11/.test(userAgent) ? "linux" : "other";
}
