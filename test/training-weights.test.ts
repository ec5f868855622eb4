import { describe, expect, test } from "vitest";
import { findDecoder, findEncoder, loadDecoder } from "../src/caption/initial-weights.ts";
import { adaptRecipe, prepareCaptioner } from "../src/caption/prepare.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { buildModel, gpt2Of, type SystemName } from "../src/caption/systems.ts";
import { openCheckpoint } from "../src/checkpoint/files.ts";
import type { CheckpointReader } from "../src/checkpoint/reader.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel, type GPT2Config } from "../src/models/gpt2.ts";
import { memoryCheckpoint, randomTensor } from "./memory-checkpoint.ts";
import { changedTensors, toyRecipe, toyScenes, trainToy } from "./training-toy.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });

const golden = (name: string): Promise<CheckpointReader> => openCheckpoint(`test/golden/models/${name}/model.safetensors`);
const GPT2: GPT2Config = { vocabulary: 200, positions: 64, dim: 64, layers: 2, heads: 1, mlp: 32, eps: 1e-5, activation: "gelu_tanh", crossAttention: null };

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
    const rates = (train: "none" | "top" | "all"): object => adaptRecipe(toyRecipe("encdec"), { encoder }, train).training.rates;
    expect([rates("none"), rates("top"), rates("all")]).toEqual([{ encoder: 0, "encoder-top": 0 }, { encoder: 0 }, { encoder: 1, "encoder-top": 1 }]);
    await encoder.close();
  });

  test.each([
    ["storyteller", "a ViT", 'the system "storyteller" needs a ResNet; got a ViT (name a ResNet with --encoder, or choose another --system)'],
    ["prefix", "a ResNet", 'the system "prefix" needs a ViT; got a ResNet (name a ViT with --encoder, or choose another --system)'],
  ] as const)("%s refuses %s", async (system, kind, message) => {
    const vit = new Map([["cls_token", [1, 1, 64]], ["pos_embed", [1, 5, 64]], ["patch_embed.proj.weight", [64, 3, 8, 8]], ["patch_embed.proj.bias", [64]], ["blocks.0.norm1.weight", [64]], ["blocks.0.attn.qkv.weight", [192, 64]], ["blocks.0.mlp.fc1.weight", [64, 64]], ["norm.weight", [64]]]);
    const encoder = kind === "a ViT" ? await memoryCheckpoint([...vit].map(([name, shape], i) => [name, randomTensor(shape, i)] as const), "vit.safetensors") : await golden("resnet");
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
});
