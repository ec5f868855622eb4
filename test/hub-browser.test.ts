import { expect, test } from "vitest";
import { openModule } from "./browser.ts";
import { HubServer, sends, sha256Of, stalls, weights } from "./hub-server.ts";

const SEGMENT_BYTES = 2 ** 18;
const BYTES = weights(3_000_000);

declare const exported: typeof import("./pages/hub-pull.ts");

test("a page pulls into its own file system, goes on after a reload, and lists, reads and deletes what it has", async () => {
  const server = await HubServer.start();
  const [weightsPath] = server.putRepo("org/tiny", { "model.safetensors": BYTES, "config.json": "{}" }, { revision: "v1" }).filter((path) => path.includes("cccc") && path.endsWith("model.safetensors"));
  server.next(weightsPath, stalls(1_500_000));
  const { page, reload, close } = await openModule("hub-pull.ts");
  try {
    await page.evaluate((endpoint) => void exported.hub.pull(endpoint, "org/tiny@v1").catch(() => undefined), server.origin);
    await page.waitForFunction(() => exported.hub.received === 1_500_000);
    expect(await page.evaluate(() => exported.hub.remove("hf/org/tiny/v1/model.safetensors").then(() => "deleted", String))).toMatch(/^InputError: .* must be at rest to be deleted; got a download that is under way/);
    await reload(); // in the middle of the download

    expect(await page.evaluate(() => exported.hub.list())).toContainEqual({ key: "hf/org/tiny/v1/model.safetensors", size: 5 * SEGMENT_BYTES, complete: false });
    server.forget();
    const pulled = await page.evaluate((endpoint) => exported.hub.pull(endpoint, "org/tiny@v1"), server.origin);
    expect(pulled).toEqual([
      { key: "hf/org/tiny/v1/config.json", size: 2, sha256: sha256Of(new TextEncoder().encode("{}")), cached: true },
      { key: "hf/org/tiny/v1/model.safetensors", size: BYTES.length, sha256: sha256Of(BYTES), cached: false },
    ]);
    expect(server.rangesOf(weightsPath)).toEqual([`bytes=${5 * SEGMENT_BYTES}-`]);
    expect(await page.evaluate(() => exported.hub.hashOf("hf/org/tiny/v1/model.safetensors"))).toBe(sha256Of(BYTES));

    await reload();
    server.forget();
    expect(await page.evaluate((endpoint) => exported.hub.pull(endpoint, "org/tiny@v1"), server.origin)).toMatchObject([{ cached: true }, { cached: true }]);
    expect(server.rangesOf(weightsPath)).toEqual([]);

    expect(await page.evaluate(() => exported.hub.list())).toEqual([
      { key: "hf/org/tiny/v1/config.json", size: 2, complete: true },
      { key: "hf/org/tiny/v1/model.safetensors", size: BYTES.length, complete: true },
    ]);
    await page.evaluate(() => exported.hub.remove("hf/org/tiny/v1/model.safetensors"));
    expect(await page.evaluate(() => exported.hub.list())).toEqual([{ key: "hf/org/tiny/v1/config.json", size: 2, complete: true }]);

    server.putRepo("org/wrong", { "model.safetensors": BYTES }, { storage: server });
    server.next(`/blobs/${sha256Of(BYTES)}`, sends(BYTES.length, weights(BYTES.length, 7)));
    expect(await page.evaluate((endpoint) => exported.hub.refused(endpoint, "org/wrong"), server.origin)).toMatch(/CheckpointError: .* must have the sha256 [0-9a-f]{64}; got/);
    expect((await page.evaluate(() => exported.hub.list())).map(({ key }) => key)).toEqual(["hf/org/tiny/v1/config.json"]);
  } finally {
    await close();
    await server.stop();
  }
});
