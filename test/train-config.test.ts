import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FLAVOURS, readRecipe, SIZES, type Recipe } from "../src/caption/recipe.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { buildModel, partOf, SYSTEM, SYSTEMS, type ModelConfig } from "../src/caption/systems.ts";
import { checkConfig, overlay, readConfigFile } from "../src/cli/config-file.ts";
import { closeWeights, planRun, type TrainOptions } from "../src/cli/train-plan.ts";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { uninitialised } from "../src/nn/module.ts";
import { DeviceGenerator } from "../src/autograd/random.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "null" });
const folder = mkdtempSync(join(tmpdir(), "sightline-config-"));
afterAll(() => rmSync(folder, { recursive: true }));

const path = join(folder, "run.json");
const base = { ...recipeFor({ system: "cross", recipe: "fixed", size: "tiny", pictures: null }), data: { kind: "scenes", train: 8, languages: ["en"], text: "caption" } };

/** What a file's settings make of the base. */
function check(text: string): unknown {
  writeFileSync(path, text);
  const file = readConfigFile(path);
  return checkConfig(overlay(base, file.value), file);
}

describe("every recipe", () => {
  const choices = SYSTEMS.flatMap((system) => FLAVOURS.flatMap((recipe) => SIZES.flatMap((size) => [null, 30, 5000].map((pictures) => ({ system, recipe, size, pictures })))));

  test("passes its own schema, and comes back from JSON as it was", () => {
    for (const choice of choices) {
      const made = recipeFor(choice);
      expect(readRecipe(JSON.parse(JSON.stringify(made)), "")).toEqual(JSON.parse(JSON.stringify(made)));
      expect(readRecipe(made, "")).toMatchObject({ system: choice.system, recipe: choice.recipe, size: choice.size });
    }
  });

  test.each(SYSTEMS.flatMap((system) => SIZES.map((size) => [system, size] as const)))("%s, %s: each parameter is in a part, and each part has parameters", (system, size) => {
    const { model: config } = recipeFor({ system, recipe: "fixed", size, pictures: 30 });
    const small = size === "full" ? { ...config, ...("gpt2" in config && { gpt2: { ...config.gpt2, vocabulary: 8 } }), ...(config.system === "cross" && { decoder: { ...config.decoder, vocabulary: 8 } }) } : config;
    const model = uninitialised(() => buildModel({ device: device(), generator: new Generator(1), random: new DeviceGenerator(device(), 1) }, small as ModelConfig));
    const parts = new Set(model.namedParameters().map(([name]) => partOf(system, name)));
    const names = SYSTEM[system].parts.map(([name]) => name);
    expect([...parts].every((part) => names.includes(part))).toBe(true);
    // A small network has no top of its own, and a ResNet without a fourth stage none either.
    const missing = names.filter((name) => !parts.has(name));
    expect(size === "full" ? missing : missing.filter((name) => name !== "encoder-top")).toEqual([]);
    model.dispose();
  });
});

describe("a configuration file", () => {
  test("may have comments, trailing commas and a byte order mark", () => {
    expect(check('\uFEFF{\n  // how long\n  "training": { "epochs": 7, /* and */ },\n}')).toMatchObject({ training: { epochs: 7, batchSize: 32 } });
  });

  test.each<[what: string, text: string, message: RegExp]>([
    ["a broken line", '{\n  "training": {\n    "epochs" 3\n  }\n}', /run\.json, line 3, column \d+: the file must be JSON/],
    ["an end too soon", '{"training": {', /line 1, column \d+: the file must be JSON/],
    ["no object", "[1]", /the file must be a JSON object of settings; got array/],
    ["nothing", "", /the file must be/],
    ["a mistyped field", '{\n "training": {\n  "epoch": 3\n }\n}', /line 3: .*epoch.*did you mean epochs\?/],
    ["a mistyped field at the top", '{\n\n "trainin": {}\n}', /line 3: .*did you mean training\?/],
    ["a text for a number", '{\n "training": {\n  "learningRate": "fast"\n }\n}', /line 3: training\.learningRate must be a number .*; got "fast"/],
    ["a number out of its range", '{"training": {"epochs": 0}}', /line 1: training\.epochs must be a whole number from 1 .*; got 0/],
    ["no number of JSON's", '{"training": {"epochs": 1e999}}', /training\.epochs must be a whole number/],
    ["a wrong name", '{\n "text": {"vocabulary": "letters"}\n}', /line 2: text\.vocabulary must be one of "words", "byte-pairs", "gpt2"; got "letters"/],
    ["a schedule without its numbers", '{"training": {"schedule": {"kind": "step"}}}', /training\.schedule\.epochs must be .*; got nothing/],
    ["a list that is too short", '{"training": {"betas": [0.9]}}', /training\.betas must be a list of 2/],
    ["an entry of a list", '{\n "training": {\n  "betas": [\n   0.9,\n   2]}}', /line 5: training\.betas\[1\] must be a number from 0 to 1; got 2/],
    ["a part that there is not", '{\n "training": {\n  "rates": {\n   "encodr": 0}}}', /line 4: training\.rates\.encodr must be one of "encoder-top", "encoder", "bridge", "cross-norm", "mlp-norm", "embeddings", "decoder"; got "encodr"/],
    ["a stage of no such part", '{\n "training": {"stages": [\n  {"epochs": 1, "parts": ["bridge",\n   "mapper"]}]}}', /line 4: training\.stages\[0\]\.parts\[1\] must be one of .*; got "mapper"/],
    ["a stage that trains nothing", '{"training": {"rates": {"bridge": 0},\n "stages": [{"epochs": 1, "parts": ["bridge"]}]}}', /line 2: training\.stages\[0\]\.parts must name a part that is trained; got bridge/],
    ["a field named __proto__", '{"training": {\n "__proto__": {"epochs": 3}}}', /line 2: training may have the fields epochs, .*; got "__proto__"/],
    ["pictures of another size than its ViT sees", '{\n "picture": {"size": 64}}', /line 2: picture\.size must be 32, as model\.encoder\.image is; got 64/],
    ["a plateau that lowers nothing", '{"training": {"schedule": {"kind": "plateau", "factor": 1, "patience": 2}}}', /training\.schedule\.factor must be a number from 0\.000001 to 0\.999999; got 1/],
    ["one sample, which there is nothing to compare with", '{"training": {"reward": {"epochs": 1, "learningRate": 1e-4, "samples": 1, "temperature": 1}}}', /training\.reward\.samples must be a whole number from 2 to 64; got 1/],
    ["other data", '{\n "data": {"kind": "web"}}', /line 2: data\.kind must be one of/],
  ])("is refused with %s, by line and field", (_, text, message) => {
    expect(() => check(text)).toThrow(InputError);
    expect(() => check(text)).toThrow(message);
  });

  test("another system than that of its model is refused", () => {
    const { data: _, ...recipe } = base;
    expect(() => readRecipe({ ...recipe, system: "prefix" }, "")).toThrow('model.system must be "prefix", as system is; got "cross" (leave model out, or change both)');
  });

  test("that is not there is named", () => {
    expect(() => readConfigFile(join(folder, "none.json"))).toThrow(/cannot read .*none\.json: there is no such file/);
  });
});

describe("the plan of a run", () => {
  let runs = 0;
  const plan = async (options: Partial<TrainOptions>, file?: object): Promise<Recipe & { readonly scenes: unknown }> => {
    if (file !== undefined) writeFileSync(path, JSON.stringify(file));
    const { recipe, weights, data } = await planRun({ adapter: "auto", out: join(folder, `run-${runs++}`), ...(file && { config: path }), ...options }, "", () => undefined);
    await closeWeights(weights);
    return { ...recipe, scenes: data.choice.kind === "scenes" ? data.choice.counts.train : null };
  };

  test("flags come over the file, and the file over the recipe", async () => {
    const file = { system: "cross", seed: 3, training: { epochs: 2, batchSize: 4 }, data: { kind: "scenes", train: 12 } };
    expect(await plan({}, file)).toMatchObject({ system: "cross", seed: 3, scenes: 12, training: { epochs: 2, batchSize: 4, learningRate: 3e-3 } });
    expect(await plan({ seed: 4, epochs: 5, scenes: 20, system: "prefix" }, file)).toMatchObject({ system: "prefix", seed: 4, scenes: 20, model: { system: "prefix" }, training: { epochs: 5, batchSize: 4 } });
  });

  test("what --train-encoder and --encoder none say comes over the file, and is written so that it is read again", async () => {
    const encoder = "test/golden/models/resnet/model.safetensors";
    const { scenes: _, ...top } = await plan({ system: "encdec", encoder, trainEncoder: "top" });
    expect(top.training.rates).toEqual({ encoder: 0, "encoder-top": 1 });
    expect((await plan({}, top)).training.rates).toEqual(top.training.rates);
    expect((await plan({ trainEncoder: "none" }, top)).training.rates).toEqual({ encoder: 0, "encoder-top": 0 });
    const { model: __, picture: ___, ...rest } = top;
    expect((await plan({ encoder: "none" }, rest)).training).toMatchObject({ rates: { encoder: 1, "encoder-top": 1 }, batchNorm: "batch" });
    await expect(plan({ trainEncoder: "top" })).rejects.toThrow("--train-encoder says what of a network from --encoder is trained; got no such network");
  });

  test("smaller pictures show as much as before", async () => {
    const { picture } = await plan({ system: "encdec", encoder: "test/golden/models/resnet/model.safetensors", pictureSize: 112 });
    expect(picture).toMatchObject({ size: 112, resize: "crop", shortSide: 128 });
  });

  test("a seed that is none is refused", async () => {
    await expect(plan({}, { seed: "x" })).rejects.toThrow(/line 1: seed must be a whole number from 0 to 4294967295; got "x"/);
  });

  test("--reward-epochs takes the file's rewards, or usual ones at a tenth of the rate", async () => {
    expect((await plan({ rewardEpochs: 2, lr: 1e-3 })).training.reward).toEqual({ epochs: 2, learningRate: 1e-4, samples: 5, temperature: 1 });
    const reward = { epochs: 9, learningRate: 5e-6, samples: 3, temperature: 0.5 };
    expect((await plan({ rewardEpochs: 2 }, { training: { reward } })).training.reward).toEqual({ ...reward, epochs: 2 });
  });

  test("a run's own settings give the same plan again", async () => {
    const { scenes, ...first } = await plan({ system: "cross", epochs: 3, scenes: 10, augment: true, accumulate: 2, rewardEpochs: 1 });
    const { scenes: again, ...second } = await plan({}, { ...first, data: { kind: "scenes", train: scenes, languages: ["en"], text: "caption" } });
    expect([again, second]).toEqual([scenes, first]);
  });
});
