import { describe, expect, test } from "vitest";
import { atSize, findDecoder, findEncoder, loadDecoder } from "../src/caption/initial-weights.ts";
import { adaptRecipe, trainingEncoder, type TrainedEncoder } from "../src/caption/adapt-recipe.ts";
import { prepareCaptioner } from "../src/caption/prepare.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { buildModel, gpt2Of, type SystemName } from "../src/caption/systems.ts";
import { openCheckpoint } from "../src/checkpoint/files.ts";
import type { CheckpointReader } from "../src/checkpoint/reader.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { PREPROCESSING } from "../src/data/preprocess.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../src/models/gpt2.ts";
import { memoryCheckpoint, randomTensor } from "./memory-checkpoint.ts";
import { changedTensors, toyRecipe, toyScenes, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const golden = (name: string): Promise<CheckpointReader> => openCheckpoint(`test/golden/models/${name}/model.safetensors`);
const GPT2: GPT2Config = { vocabulary: 200, positions: 64, dim: 64, layers: 2, heads: 1, mlp: 32, eps: 1e-5, activation: "gelu_tanh", crossAttention: null };

/** As much of a ViT as it is recognised from. */
const VIT = new Map([["cls_token", [1, 1, 64]], ["pos_embed", [1, 5, 64]], ["patch_embed.proj.weight", [64, 3, 8, 8]], ["patch_embed.proj.bias", [64]], ["blocks.0.norm1.weight", [64]], ["blocks.0.attn.qkv.weight", [192, 64]], ["blocks.0.mlp.fc1.weight", [64, 64]], ["norm.weight", [64]]]);

/** A language model with random weights, its norms included, as a file. */
async function gpt2File(): Promise<{ reader: CheckpointReader; tensors: Map<string, HostTensor> }> {
  const model = new GPT2LMHeadModel({ device: device(), generator: new Generator(1) }, GPT2);
  const tensors = new Map([...(await model.stateDict())].map(([name, { shape }], i) => [name, randomTensor(shape, i)] as const));
  model.dispose();
  return { reader: await memoryCheckpoint(tensors, "gpt2.safetensors"), tensors };
}

describe("--encoder", () => {
  test("a ResNet's weights arrive bit for bit, and stay while the rest learns", async () => {
    const encoder = await golden("resnet");
    const recipe = adaptRecipe(toyRecipe("storyteller", { training: { epochs: 1 } }), { encoder });
    expect(recipe.training).toMatchObject({ rates: { encoder: 0, "encoder-top": 0 }, batchNorm: "frozen" });
    const { before, after } = await trainToy(device(), { ...recipe, picture: { ...recipe.picture, size: 32 } }, { source: toyScenes(4), weights: { encoder } });
    for (const [name, tensor] of after) {
      if (!name.startsWith("backbone.") || name.endsWith("num_batches_tracked")) continue;
      expect(tensor.data, name).toEqual((await encoder.read(name.slice("backbone.".length))).data);
    }
    expect(changedTensors(before, after).length).toBeGreaterThan(0);
    await encoder.close();
  });

  test("its top, or all of it, is trained where that is asked for", async () => {
    const encoder = await golden("resnet");
    const rates = (train: TrainedEncoder): object => trainingEncoder(adaptRecipe(toyRecipe("encdec"), { encoder }).training, train).rates;
    expect([rates("none"), rates("top"), rates("all")]).toEqual([{ encoder: 0, "encoder-top": 0 }, { encoder: 0, "encoder-top": 1 }, { encoder: 1, "encoder-top": 1 }]);
    await encoder.close();
  });

  test("a rate of its own is kept where it is trained", () => {
    const { training } = toyRecipe("encdec", { training: { rates: { "encoder-top": 0.1, bridge: 2 } } });
    expect(trainingEncoder(training, "all").rates).toEqual({ encoder: 1, "encoder-top": 0.1, bridge: 2 });
  });

  test("a recipe that names a network says what of it is trained: cross all of it, after two stages", async () => {
    const vit = await memoryCheckpoint([...VIT].map(([name, shape], i) => [name, randomTensor(shape, i)] as const), "vit.safetensors");
    const { rates, stages } = adaptRecipe(recipeFor({ system: "cross", recipe: "fixed", size: "full", pictures: null }), { encoder: vit }).training;
    expect([rates, stages.length]).toEqual([{}, 2]);
  });

  test("a network that begins with nothing is trained, with batch norms of its own", () => {
    const { rates, batchNorm } = adaptRecipe(recipeFor({ system: "story", recipe: "fixed", size: "full", pictures: null }), {}).training;
    expect([rates, batchNorm]).toEqual([{ encoder: 1, "encoder-top": 1 }, "batch"]);
  });

  test("pictures of another size show as much as before", () => {
    expect(atSize(PREPROCESSING.imagenetV1, 112)).toMatchObject({ size: 112, shortSide: 128 });
    expect(atSize(PREPROCESSING.timmVit, 384)).toMatchObject({ size: 384, shortSide: 425 });
    expect(atSize(PREPROCESSING.imagenetSquash, 64)).toEqual({ ...PREPROCESSING.imagenetSquash, size: 64 });
  });

  test.each([
    ["storyteller", "a ViT", 'the system "storyteller" needs a ResNet; got a ViT (name a ResNet with --encoder, or choose another --system)'],
    ["prefix", "a ResNet", 'the system "prefix" needs a ViT; got a ResNet (name a ViT with --encoder, or choose another --system)'],
  ] as const)("%s refuses %s", async (system, kind, message) => {
    const encoder = kind === "a ViT" ? await memoryCheckpoint([...VIT].map(([name, shape], i) => [name, randomTensor(shape, i)] as const), "vit.safetensors") : await golden("resnet");
    expect(() => adaptRecipe(recipeFor({ system, recipe: "fixed", size: "tiny", pictures: null }), { encoder })).toThrow(message);
    await encoder.close();
  });

  test("refuses a file without a vision network", async () => {
    const { reader } = await gpt2File();
    expect(() => findEncoder(reader)).toThrow(/gpt2\.safetensors: --encoder must name a file with a ResNet or ViT; got \d+ tensors of something else/);
  });
});

describe("--decoder", () => {
  const build = (system: SystemName, recipe: "compat" | "fixed"): GPT2LMHeadModel => {
    const { model } = toyRecipe(system, { choice: { recipe } });
    const config = model.system === "cross" ? { ...model, decoder: { ...GPT2, crossAttention: 16 } } : { ...model, gpt2: GPT2 };
    return gpt2Of(buildModel({ device: device(), generator: new Generator(2) }, config as typeof model))!;
  };

  test("a GPT-2's weights arrive bit for bit", async () => {
    const { reader, tensors } = await gpt2File();
    const gpt2 = build("story", "fixed");
    await loadDecoder(gpt2, reader, findDecoder(reader), "fixed");
    expect(changedTensors(await gpt2.stateDict(), tensors)).toEqual([]);
  });

  test.each([["compat", "ln_cross_attn", "ln_2"], ["fixed", "ln_2", "ln_cross_attn"]] as const)("cross, %s: GPT-2's ln_2 becomes %s, and %s begins as the identity", async (flavour, learned, identity) => {
    const { reader, tensors } = await gpt2File();
    const gpt2 = build("cross", flavour);
    const initial = await gpt2.stateDict();
    await loadDecoder(gpt2, reader, findDecoder(reader), flavour);
    const state = await gpt2.stateDict();
    for (const block of ["transformer.h.0", "transformer.h.1"]) {
      for (const part of ["weight", "bias"]) {
        expect(state.get(`${block}.${learned}.${part}`)!.data).toEqual(tensors.get(`${block}.ln_2.${part}`)!.data);
        expect(new Set(state.get(`${block}.${identity}.${part}`)!.data)).toEqual(new Set([part === "weight" ? 1 : 0]));
      }
    }
    const rest = [...tensors.keys()].filter((name) => !name.includes("ln_2"));
    expect(changedTensors(new Map(rest.map((name) => [name, tensors.get(name)!])), state)).toEqual([]);
    const cross = [...initial].filter(([name]) => name.includes(".crossattention."));
    expect(cross.length).toBeGreaterThan(0);
    expect(changedTensors(new Map(cross), state)).toEqual([]);
  });

  test("a system without a GPT-2 refuses one, and a ResNet is none", async () => {
    const { reader } = await gpt2File();
    expect(() => adaptRecipe(toyRecipe("encdec"), { decoder: reader })).toThrow('the system "encdec" has a recurrent decoder, which takes no GPT-2 (leave --decoder out');
    const resnet = await golden("resnet");
    expect(() => findDecoder(resnet)).toThrow(/--decoder must name a file with a GPT-2; got \d+ tensors of something else/);
    await resnet.close();
  });

  test("its table must hold the vocabulary", async () => {
    const { reader } = await gpt2File();
    const recipe = adaptRecipe(toyRecipe("story"), { decoder: reader });
    expect(recipe.text.vocabulary).toBe("gpt2");
    await expect(prepareCaptioner(device(), toyScenes(4), recipe, { decoder: reader })).rejects.toThrow("the decoder's table of words must have 50257 rows for this vocabulary; got 200");
  });

  test("its vocabulary is its own", async () => {
    const { reader } = await gpt2File();
    const recipe = toyRecipe("story", { text: { vocabulary: "words" } });
    await expect(prepareCaptioner(device(), toyScenes(4), recipe, { decoder: reader })).rejects.toThrow('text.vocabulary must be "gpt2" with a GPT-2 from --decoder, which knows these tokens alone; got "words" (leave --vocabulary out, or --decoder)');
  });

  test("its places must hold the texts", async () => {
    const recipe = toyRecipe("prefix");
    const model = { ...recipe.model, gpt2: { ...GPT2, positions: 8 } } as typeof recipe.model;
    await expect(prepareCaptioner(device(), toyScenes(4), { ...recipe, model })).rejects.toThrow(/text\.maxLength must be at most 5 with this decoder, which has 8 places for a text; got texts of up to \d+ tokens/);
    const captioner = await prepareCaptioner(device(), toyScenes(4), { ...recipe, model, text: { ...recipe.text, maxLength: 5 } });
    expect(captioner.config.maxLength).toBe(6);
    captioner.dispose();
  });
});
