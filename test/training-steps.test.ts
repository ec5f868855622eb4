import { describe, expect, test } from "vitest";
import { partOf } from "../src/caption/systems.ts";
import { changedTensors, greatestDifference, toyRecipe, toyScenes, trainBroken, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

/** Parts that changed, of all that a run could change. */
const partsOf = (names: readonly string[]): string[] => [...new Set(names.map((name) => partOf("cross", name)))].sort();

describe("gradient accumulation", () => {
  test.each([
    ["AdamW", { muonRate: 0 }],
    ["Muon", { muonRate: 0.02, muonFor: "matrices" }],
  ] as const)("%s: a batch in two parts is one batch", async (_, rates) => {
    const training = { ...rates, epochs: 1 };
    const whole = await trainToy(device(), toyRecipe("cross", { training }));
    const parts = await trainToy(device(), toyRecipe("cross", { training: { ...training, accumulate: 2 } }));
    expect(parts.losses).toHaveLength(4);
    parts.losses.forEach((loss, i) => expect(Math.abs(loss - whole.losses[i])).toBeLessThan(1e-5));
    expect(greatestDifference(parts.after, whole.after)).toBeLessThan(1e-5);
  });

  test("is refused where the parts are not of one size", async () => {
    await expect(trainToy(device(), toyRecipe("cross", { training: { accumulate: 3 } }))).rejects.toThrow("training.accumulate must divide the pictures of a step, 4; got 3");
  });
});

describe("stages", () => {
  const stages = [{ epochs: 1, parts: ["bridge"] }, { epochs: 1, parts: ["decoder"] }];

  test.each([1, 2])("train their own parts alone, in %d parts a step", async (accumulate) => {
    const recipe = toyRecipe("cross", { training: { epochs: 3, validations: 3, stages, accumulate, rates: { encoder: 0.5, "encoder-top": 0 } } });
    const first = await trainToy(device(), recipe, { stopAt: 3, source: toyScenes(16) });
    expect(first.result.step).toBe(4);
    expect(partsOf(changedTensors(first.before, first.after))).toEqual(["bridge"]);
    const second = await trainToy(device(), recipe, { from: first.last, stopAt: 5 });
    expect(partsOf(changedTensors(first.after, second.after))).toEqual(["decoder"]);
    const third = await trainToy(device(), recipe, { from: second.last });
    const changed = changedTensors(second.after, third.after);
    expect(partsOf(changed)).toEqual(["bridge", "cross-norm", "decoder", "embeddings", "encoder", "mlp-norm"]);
    expect(changed.some((name) => name.startsWith("encoder.norm"))).toBe(false);
  });

  test("a run resumed within a stage ends with the bits of one that never stopped", async () => {
    const recipe = toyRecipe("cross", { training: { epochs: 3, stages, accumulate: 2 } });
    const whole = await trainToy(device(), recipe);
    const { stopped, resumed } = await trainBroken(device(), recipe, 5);
    expect(stopped.result.stopped).toBe(true);
    expect(changedTensors(whole.last.tensors, resumed.last.tensors)).toEqual([]);
    expect([...stopped.losses, ...resumed.losses]).toEqual(whole.losses);
  });
});
