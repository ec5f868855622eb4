import { describe, expect, test } from "vitest";
import { benchCases } from "../bench/cases.ts";
import { digits, jsonOf, markdownOf, rateOf, shortTime } from "../src/demo/bench/report.ts";
import { casesOf, groupOf, QUICK } from "../src/demo/bench/selection.ts";
import type { BenchRow } from "../src/demo/bench/service.ts";
import { CAUSES, causeOf, guideFor, GUIDES } from "../src/demo/no-webgpu/guides.ts";
import { BROWSERS, recognise, SYSTEMS } from "../src/demo/no-webgpu/visitor.ts";

const WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)";
const MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)";
const LINUX = "Mozilla/5.0 (X11; Linux x86_64)";
const ANDROID = "Mozilla/5.0 (Linux; Android 10; K)";
const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X)";
const BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)";
const WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)";

describe("the page without WebGPU", () => {
  test.each([
    ["chrome", "windows", `${WINDOWS} ${BLINK} Chrome/150.0.0.0 Safari/537.36`],
    ["chrome", "macos", `${MAC} ${BLINK} Chrome/109.0.0.0 Safari/537.36`],
    ["chrome", "linux", `${LINUX} ${BLINK} Chrome/147.0.0.0 Safari/537.36`],
    ["chrome", "linux", `${LINUX} ${BLINK} Ubuntu Chromium/83.0.4103.61 Chrome/83.0.4103.61 Safari/537.36`],
    ["chrome", "chromeos", `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${BLINK} Chrome/140.0.0.0 Safari/537.36`],
    ["chrome", "android", `${ANDROID} ${BLINK} Chrome/140.0.0.0 Mobile Safari/537.36`],
    ["chrome", "ios", `${IPHONE} ${WEBKIT} CriOS/140.0.7339.101 Mobile/15E148 Safari/604.1`],
    ["edge", "windows", `${WINDOWS} ${BLINK} Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`],
    ["edge", "android", `Mozilla/5.0 (Linux; Android 10; HD1913) ${BLINK} Chrome/140.0.0.0 Mobile Safari/537.36 EdgA/140.0.0.0`],
    ["edge", "ios", `${IPHONE} ${WEBKIT} Version/18.0 EdgiOS/140.0.3485.54 Mobile/15E148 Safari/605.1.15`],
    ["opera", "windows", `${WINDOWS} ${BLINK} Chrome/139.0.0.0 Safari/537.36 OPR/124.0.0.0`],
    ["samsung", "android", `${ANDROID} ${BLINK} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36`],
    ["safari", "macos", `${MAC} ${WEBKIT} Version/26.0 Safari/605.1.15`],
    ["safari", "ios", `${IPHONE} ${WEBKIT} Version/18.6 Mobile/15E148 Safari/604.1`],
    ["firefox", "windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:153.0) Gecko/20100101 Firefox/153.0"],
    ["firefox", "macos", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:153.0) Gecko/20100101 Firefox/153.0"],
    ["firefox", "linux", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"],
    ["firefox", "android", "Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0"],
    ["firefox", "ios", `${IPHONE} ${WEBKIT} FxiOS/143.0 Mobile/15E148 Safari/605.1.15`],
    ["in-app", "ios", `${IPHONE} ${WEBKIT} Mobile/15E148 Instagram 350.0.0.24.90 (iPhone14,5; iOS 18_6; en_US; scale=3.00)`],
    ["in-app", "ios", `${IPHONE} ${WEBKIT} Mobile/22G86 [FBAN/FBIOS;FBAV/520.0.0.38.101;FBDV/iPhone14,5;FBSV/18.6]`],
    ["in-app", "ios", `${IPHONE} ${WEBKIT} Mobile/15E148`],
    ["in-app", "ios", `${IPHONE} ${WEBKIT} Mobile/15E148 Safari/604.1 Line/15.0.0`],
    ["in-app", "android", `Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/AP2A; wv) ${BLINK} Version/4.0 Chrome/140.0.0.0 Mobile Safari/537.36`],
    ["in-app", "android", `Mozilla/5.0 (Linux; Android 13; M2012K11AG) ${BLINK} Version/4.0 Chrome/130.0.0.0 Mobile Safari/537.36 MicroMessenger/8.0.50`],
    ["other", "other", "curl/8.5.0"],
    ["other", "other", ""],
  ] as const)("%s on %s: %s", (browser, system, userAgent) => {
    expect(recognise({ userAgent })).toEqual({ browser, system });
  });

  test("an iPad that calls itself a Mac, and Brave, which calls itself Chrome", () => {
    const userAgent = `${MAC} ${WEBKIT} Version/26.0 Safari/605.1.15`;
    expect(recognise({ userAgent, maxTouchPoints: 5 })).toEqual({ browser: "safari", system: "ios" });
    expect(recognise({ userAgent: `${WINDOWS} ${BLINK} Chrome/150.0.0.0 Safari/537.36`, brands: ["Chromium", "Brave"] })).toEqual({ browser: "brave", system: "windows" });
  });

  test("has a guide for every browser where there is such a browser", () => {
    const without = BROWSERS.filter((name) => name !== "other").flatMap((browser) => SYSTEMS.filter((name) => name !== "other" && guideFor({ browser, system: name }) === undefined).map((system) => `${browser} on ${system}`));
    // Safari is Apple's alone, Samsung's browser is on Android alone, and ChromeOS has Chrome's relatives.
    expect(without).toEqual(["firefox on chromeos", ...["windows", "linux", "chromeos", "android"].map((system) => `safari on ${system}`), ...["windows", "macos", "linux", "chromeos", "ios"].map((system) => `samsung on ${system}`)]);
    expect(guideFor({ browser: "other", system: "other" })).toBeUndefined();
    expect(guideFor({ browser: "firefox", system: "ios" })!.title).toMatch(/^iPhone/);
    for (const { since, steps } of GUIDES) expect([since.endsWith("."), steps.length > 0]).toEqual([true, true]);
  });

  test("tells an address without https from a browser without WebGPU, and that from one without an adapter", () => {
    expect(causeOf({ isSecure: false, hasApi: false })).toBe("insecure");
    expect(causeOf({ isSecure: true, hasApi: false })).toBe("no-api");
    expect(causeOf({ isSecure: true, hasApi: true })).toBe("no-adapter");
    expect(new Set(Object.values(CAUSES).map(({ title }) => title)).size).toBe(3);
  });
});

describe("the bench page", () => {
  const row = (change: Partial<BenchRow> = {}): BenchRow => ({ group: "Matrix products", op: "matmul", sample: "a|b", direction: "forward", kernels: 1, flops: 2e9, bytes: 1e8, seconds: 0.01, tooLong: null, spread: 0.05, bound: "arithmetic", share: 0.4, ...change });

  test("measures shapes that there are, of every group, each group in one piece", () => {
    const cases = benchCases();
    const quick = casesOf("quick", cases);
    expect(quick.map((list) => list.length).sort()).toEqual(QUICK.map(([, samples]) => samples.length).sort());
    const all = casesOf("all", cases);
    expect(all.flat()).toHaveLength(cases.length);
    for (const lists of [quick, all]) {
      const groups = lists.map(([{ op }]) => groupOf(op));
      const changes = groups.filter((group, i) => group !== groups[i - 1]);
      expect(changes).toHaveLength(7);
      expect(new Set(changes).size).toBe(7);
    }
  });

  test.each([
    ["matmul", "Matrix products"],
    ["convTranspose2d", "Convolutions"],
    ["cachedAttention", "Attention"],
    ["additiveScores", "Attention"],
    ["batchNorm with a residual", "Normalisation"],
    ["logSoftmax", "Softmax and losses"],
    ["linearCrossEntropy", "Softmax and losses"],
    ["rnnTanh", "Recurrent networks"],
    ["topK", "Sums, element by element, moves"],
  ])("%s belongs to %s", (op, group) => expect(groupOf(op)).toBe(group));

  test("counts a kernel in what it waits for", () => {
    expect(rateOf(row())).toBe("200 GFLOP/s");
    expect(rateOf(row({ bound: "memory" }))).toBe("10 GB/s");
    expect(rateOf(row({ seconds: null, tooLong: 3 }))).toBe("");
    expect([shortTime(0.0000123), shortTime(0.00312), shortTime(0.4567), shortTime(2)]).toEqual(["12.3 µs", "3.12 ms", "457 ms", "2.0 s"]);
    expect([digits(0.0714), digits(1234.5)]).toEqual(["0.0714", "1235"]);
  });

  test("copies as Markdown and as JSON", () => {
    const report = { date: new Date(0), browser: "B | C", facts: [{ name: "Adapter", value: "X" }], peak: { flops: 1e12, bandwidth: 1e11 }, rows: [row(), row({ direction: "backward", seconds: null, tooLong: 3 })] };
    const lines = markdownOf(report).split("\n");
    expect(lines[0]).toBe("sightline bench, 1970-01-01T00:00:00.000Z");
    expect(lines).toContain("| Browser | B \\| C |");
    expect(lines).toContain("| Peak | 1000 GFLOP/s, 100 GB/s |");
    expect(lines).toContain("| matmul a\\|b | forward | 10 ms | 5.0 % | 200 GFLOP/s | 40.0 % |");
    expect(lines).toContain("| matmul a\\|b | backward | left out: about 3.0 s |  |  |  |");
    expect(JSON.parse(jsonOf(report))).toEqual({ ...report, date: report.date.toISOString() });
  });
});
