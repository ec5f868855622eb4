import { describe, expect, test } from "vitest";
import { MemoryFeatures } from "../src/caption/features.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import { SYSTEMS } from "../src/caption/systems.ts";
import { trainCaptioner } from "../src/caption/training.ts";
import { changedTensors, toyRecipe, toyScenes, trainBroken, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software", limits: { emulateF16: true } }); // f16 is seen without shader-f16 too

describe("a run that was stopped and resumed ends with the bits of one that never stopped", () => {
  test.each([
    ["prefix", "with dropout", {}, null],
    ["storyteller", "with a plateau, pictures that change, and early stopping", { schedule: { kind: "plateau", factor: 0.5, patience: 0 }, validations: 4, patience: 3 }, { flip: 0.5, crop: null, brightness: [0.8, 1.2], contrast: [1, 1], saturation: [1, 1], hue: [0, 0], shiftScaleRotate: null }],
  ] as const)("%s, %s", async (system, _, training, augment) => {
    const recipe = toyRecipe(system, { training, augment });
    const source = toyScenes(8);
    const whole = await trainToy(device(), recipe, { source });
    const { stopped, resumed } = await trainBroken(device(), recipe, 2, source);
    expect(stopped.result.stopped).toBe(true);
    expect([...stopped.losses, ...resumed.losses]).toEqual(whole.losses);
    expect(changedTensors(whole.last.tensors, resumed.last.tensors)).toEqual([]);
    expect(resumed.last.metadata).toEqual(whole.last.metadata);
  });
});

test("a run ends after so many validations without a better one, and its best weights are kept", async () => {
  const { result, validations, best } = await trainToy(device(), toyRecipe("storyteller", { training: { epochs: 4, validations: 8, patience: 2, learningRate: 1e-30 } }), { source: toyScenes(8) });
  expect(validations.map((report) => report.best)).toEqual([true, false, false]);
  expect(result).toMatchObject({ step: 3, steps: 8, stopped: false, early: true });
  expect(best).not.toBeNull();
});

test.each(["train", "validation"] as const)("a source without a picture to %s with is refused", async (part) => {
  const source = toyScenes(4);
  const recipe = toyRecipe("storyteller");
  const captioner = await prepareCaptioner(device(), source, recipe);
  const empty = { ...source, [part]: { ...source[part], length: 0 } };
  await expect(trainCaptioner(captioner, empty, recipe, async () => new MemoryFeatures())).rejects.toThrow(`trainCaptioner: source.${part} must hold a picture; got none (one set may serve for both)`);
  captioner.dispose();
});

test("blocks that are computed again give the same bits", async () => {
  const source = toyScenes(8);
  const [kept, again] = [await trainToy(device(), toyRecipe("cross"), { source }), await trainToy(device(), toyRecipe("cross", { training: { checkpointing: true } }), { source })];
  expect(again.losses).toEqual(kept.losses);
  expect(changedTensors(kept.after, again.after)).toEqual([]);
});

test("parts learn at rates of their own; a rate of 0 leaves a part as it is", async () => {
  const source = toyScenes(4);
  const at = async (rates: Readonly<Record<string, number>>): Promise<readonly number[]> => {
    const { before, after } = await trainToy(device(), toyRecipe("storyteller", { training: { epochs: 1, rates, weightDecay: 0, clipNorm: null } }), { source });
    const moved = (name: string): number => Math.hypot(...after.get(name)!.data.map((value, i) => value - before.get(name)!.data[i]));
    return [moved("decoder.fc.weight"), moved("encoder.fc.weight"), moved("backbone.conv1.weight")];
  };
  const [whole, half] = [await at({}), await at({ decoder: 0.5, encoder: 0 })];
  expect(half[0] / whole[0]).toBeCloseTo(0.5, 3); // AdamW's first step is the rate times the gradient's sign
  expect(half[1]).toBeCloseTo(whole[1], 6);
  expect(half[2]).toBe(0);
});

describe("f16", () => {
  test("is refused beside Muon, which cannot skip steps that overflow", async () => {
    await expect(trainToy(device(), toyRecipe("storyteller", { training: { precision: "f16", muonRate: 0.02 } }))).rejects.toThrow("training.precision f16 needs training.muonRate 0");
  });

  test("with a scaled loss, it learns about what f32 learns", async () => {
    const source = toyScenes(8);
    const [wide, narrow] = [await trainToy(device(), toyRecipe("storyteller"), { source }), await trainToy(device(), toyRecipe("storyteller", { training: { precision: "f16" } }), { source })];
    narrow.losses.forEach((loss, i) => expect(Math.abs(loss - wide.losses[i])).toBeLessThan(0.02)); // eleven bits of each product, over a few steps
    expect([...narrow.last.tensors.keys()].some((name) => name.startsWith("optimizer.scaler."))).toBe(true);
  });
});

test.each(SYSTEMS)("%s: both recipes train", async (system) => {
  for (const recipe of ["compat", "fixed"] as const) {
    const { losses } = await trainToy(device(), toyRecipe(system, { choice: { recipe }, training: { epochs: 1 } }), { source: toyScenes(4) });
    expect(losses).toHaveLength(1);
    expect(losses[0]).toBeGreaterThan(0);
  }
});
