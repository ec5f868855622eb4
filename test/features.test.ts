import { mkdtempSync, readdirSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test, vi } from "vitest";
import { featureKey, lookOnce, MemoryFeatures } from "../src/caption/features.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import type { Recipe } from "../src/caption/recipe.ts";
import type { ModelConfig } from "../src/caption/systems.ts";
import { FeatureFiles } from "../src/cli/feature-files.ts";
import { changedTensors, toyRecipe, toyScenes, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });
const root = mkdtempSync(join(tmpdir(), "sightline-features-"));
afterAll(() => rmSync(root, { recursive: true }));

const source = toyScenes(20);
const frozen = (training: Partial<Recipe["training"]> = {}): Recipe => toyRecipe("storyteller", { training: { rates: { encoder: 0, "encoder-top": 0 }, epochs: 1, ...training } });

describe("what a frozen vision network sees", () => {
  test("is kept in files: the same losses to the bit, and nothing is looked at twice", async () => {
    const anew = await trainToy(device(), frozen(), { source });
    const open = (): Promise<FeatureFiles> => FeatureFiles.open(root, "kept");
    const store = await open();
    const write = vi.spyOn(store, "write");
    const first = await trainToy(device(), frozen(), { source, features: store });
    expect(write).toHaveBeenCalledTimes(24); // 20 pictures to train on, 4 to validate with
    await store.close();
    const again = await open();
    const rewritten = vi.spyOn(again, "write");
    const second = await trainToy(device(), frozen(), { source, features: again });
    expect(rewritten).not.toHaveBeenCalled();
    await again.close();
    expect([first.losses, second.losses]).toEqual([anew.losses, anew.losses]);
    expect(changedTensors(anew.after, second.after)).toEqual([]);
    expect(changedTensors(first.before, first.after).filter((name) => name.startsWith("backbone."))).toEqual([]);
  });

  test("looking that was interrupted goes on where it stopped; a damaged file is named and its pictures are looked at again", async () => {
    const captioner = await prepareCaptioner(device(), source, frozen());
    const stop = new AbortController();
    const store = await FeatureFiles.open(root, "broken");
    await lookOnce(captioner, source.train, store, { signal: stop.signal, onLook: () => stop.abort() });
    await store.close();
    const counts: [number, number][] = [];
    const rest = await FeatureFiles.open(root, "broken");
    const look = await lookOnce(captioner, source.train, rest, { onLook: (done, total) => counts.push([done, total]) });
    expect(counts).toEqual([[4, 4]]); // 16 of 20 were there
    const [seen] = await look([3, 19], 0);
    await rest.close();

    const [damaged] = readdirSync(join(root, "broken")).sort();
    truncateSync(join(root, "broken", damaged), 100);
    const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    const mended = await FeatureFiles.open(root, "broken");
    expect(said.mock.calls.join("")).toContain(damaged);
    said.mockRestore();
    counts.length = 0;
    const [same] = await (await lookOnce(captioner, source.train, mended, { onLook: (done, total) => counts.push([done, total]) }))([3, 19], 0);
    expect(counts).toEqual([[16, 16]]);
    expect(same).toEqual(seen);
    await mended.close();
    captioner.dispose();
  });

  test("has another name for another network, and for pictures that are read in another way", async () => {
    const keys = new Set<string>();
    for (const recipe of [frozen(), frozen(), { ...frozen(), seed: 9 }, { ...frozen(), picture: { ...frozen().picture, mean: [0, 0, 0] as const } }]) {
      const captioner = await prepareCaptioner(device(), source, recipe);
      keys.add(await featureKey(captioner));
      captioner.dispose();
    }
    expect(keys.size).toBe(3); // the first two are of one network
  });

  test.each([
    ["storyteller", (model: ModelConfig) => ({ ...model, grid: 1 })],
    ["cross", (model: ModelConfig) => ({ ...model, looksAt: "last" })],
  ] as const)("has another name where the decoder of %s is given something else of the same network", async (system, change) => {
    const recipe = toyRecipe(system);
    const keys = new Set<string>();
    for (const model of [recipe.model, change(recipe.model) as ModelConfig]) {
      const captioner = await prepareCaptioner(device(), source, { ...recipe, model });
      keys.add(await featureKey(captioner));
      captioner.dispose();
    }
    expect(keys.size).toBe(2);
  });

  test("two runs that look at the same time lose nothing of each other's", async () => {
    const features = [{ dtype: "f32", shape: [2], data: Float32Array.of(1, 2) }] as const;
    const stores = [await FeatureFiles.open(root, "shared"), await FeatureFiles.open(root, "shared")];
    await stores[0].write("a", features);
    await stores[1].write("b", features);
    for (const store of stores) await store.close();
    const later = await FeatureFiles.open(root, "shared");
    expect([later.has("a"), later.has("b")]).toEqual([true, true]);
    await later.close();
  });

  test("is looked at anew where pictures change at random, or the network is trained", async () => {
    const store = new MemoryFeatures();
    const write = vi.spyOn(store, "write");
    await trainToy(device(), frozen({ rates: { encoder: 0 } }), { source: toyScenes(4), features: store });
    expect(write).not.toHaveBeenCalled();
  });
});

describe("batch norms of an encoder that is not trained", () => {
  test.each([["frozen", false], ["batch", true]] as const)("%s: their statistics move: %s, and no weight does", async (batchNorm, moves) => {
    const { before, after } = await trainToy(device(), frozen({ batchNorm }), { source: toyScenes(4) });
    const changed = changedTensors(before, after).filter((name) => name.startsWith("backbone."));
    expect(changed.some((name) => /running_(mean|var)$/.test(name))).toBe(moves);
    expect(changed.filter((name) => !/running_(mean|var)$|num_batches_tracked$/.test(name))).toEqual([]);
  });
});
