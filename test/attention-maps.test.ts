import { describe, expect, test } from "vitest";
import { observeOps } from "../src/autograd/observe.ts";
import { noGrad } from "../src/autograd/tape.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { attentionMaps, classTokenMaps } from "../src/caption/attention-maps.ts";
import { EncDec } from "../src/caption/encdec.ts";
import { Prefix } from "../src/caption/prefix.ts";
import { Story } from "../src/caption/story.ts";
import { Storyteller } from "../src/caption/storyteller.ts";
import { VisionGPT2 } from "../src/caption/vision-gpt2.ts";
import { Generator } from "../src/core/rng.ts";
import { overlayAttention } from "../src/data/attention-overlay.ts";
import type { Image } from "../src/data/image.ts";
import type { GPT2Config } from "../src/models/gpt2.ts";
import type { AttentionKind } from "../src/models/region-attention.ts";
import type { ResNetConfig } from "../src/models/resnet.ts";
import { VisionTransformer, type ViTConfig } from "../src/models/vit.ts";
import type { Builder } from "../src/nn/layers.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });
const builder = (): Builder => ({ device: device(), generator: new Generator(7) });

const [BATCH, LENGTH, SIDE] = [2, 3, 2];
const RESNET: ResNetConfig = { block: "basic", layers: [1, 0, 0, 0], width: 4, stem: "small", classes: 6 };
const VIT: ViTConfig = { image: 8, patch: 4, dim: 12, depth: 2, heads: 2, mlp: 16, qkvBias: true, eps: 1e-6, pool: "cls", norm: true, pooler: false, classes: 0 };
const GPT2: GPT2Config = { vocabulary: 9, positions: 8, dim: 16, layers: 2, heads: 4, mlp: 32, eps: 1e-5, activation: "gelu", crossAttention: null };
const RECURRENT = { cell: "gru", vocabulary: 9, embedding: 6, hidden: 8 } as const;

const pictures = (): Tensor => tensor(device(), Float32Array.from({ length: BATCH * 3 * 64 }, (_, i) => Math.sin(i * i)), [BATCH, 3, 8, 8]);
const words = (): Tensor => tensor(device(), Int32Array.of(1, 5, 3, 1, 4, 8), [BATCH, LENGTH]);

/** Weights large enough that attention is not even. */
async function sharpened<T extends VisionGPT2 | VisionTransformer>(model: T): Promise<T> {
  for (const [name, parameter] of model.namedParameters()) if (/(attn|qkv)\.weight$/.test(name)) parameter.write((await parameter.read()).map((value) => 20 * value));
  return model;
}

function expectSums(maps: Float32Array, size: number): void {
  for (let i = 0; i < maps.length; i += size) expect(maps.subarray(i, i + size).reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 5);
}

describe("attentionMaps of recurrent decoders", () => {
  test.each(["dot", "additive"] as const)("%s: the weights of storyteller and encdec over their grids", async (attention: AttentionKind) => {
    using _scope = device().scope();
    for (const model of [new Storyteller(builder(), { backbone: RESNET, grid: SIDE, features: 0, attention, decoder: RECURRENT }), new EncDec(builder(), { encoder: RESNET, grid: SIDE, attention, decoder: RECURRENT })]) {
      model.eval();
      const seen = noGrad(() => model.see(pictures()));
      const maps = attentionMaps(model, seen, words())!;
      expect(maps.shape).toEqual([BATCH, LENGTH, SIDE, SIDE]);
      expect(maps.node).toBeNull();
      const found = (await maps.read()) as Float32Array;
      expectSums(found, SIDE * SIDE);
      expect(Math.max(...found) - Math.min(...found)).toBeGreaterThan(0.02);
      model.dispose();
    }
  });

  test("the first region is the one at the top left, the last the one at the bottom right", async () => {
    using _scope = device().scope();
    const model = new Storyteller(builder(), { backbone: { ...RESNET, layers: [0, 0, 0, 0] }, grid: SIDE, features: 0, attention: "dot", decoder: RECURRENT });
    model.eval();
    const attention = model.decoder.attention!;
    attention.positions.write(new Float32Array(attention.positions.size));
    const before = noGrad(() => model.see(pictures()));
    const maps = (await before[0].read()) as Float32Array;
    const [channels, regions] = [before[0].shape[1], SIDE * SIDE];
    const [placed] = await Promise.all(model.decode(before, words()).state.regions.map((region) => region.read()));
    for (let r = 0; r < regions; r++) for (let c = 0; c < channels; c++) expect(placed[r * channels + c]).toBe(maps[c * regions + r]);
    model.dispose();
  });
});

describe("attentionMaps of a GPT-2 with cross-attention", () => {
  test.each(["each", "last"] as const)("looking at %s: heads and layers are averaged, without the class token; weights × values is what the fused attention gives", async (looksAt) => {
    using _scope = device().scope();
    const model = await sharpened(new VisionGPT2(builder(), { encoder: VIT, decoder: { ...GPT2, crossAttention: VIT.dim }, looksAt }));
    model.eval();
    const seen = noGrad(() => model.see(pictures()));
    const fused: Tensor[] = [];
    noGrad(() => observeOps((name, [output]) => void (name === "attention" && output.shape.length === 4 && fused.push(output)), () => model.logits(seen, words())));
    expect(fused.length).toBe(GPT2.layers);

    const { heads, layers } = GPT2;
    const tokens = SIDE * SIDE + 1;
    const weights = await Promise.all(noGrad(() => model.lookingAt(seen, words())).map((each) => each.read()));
    for (const [layer, block] of model.decoder.transformer.h.entries()) {
      const { values } = noGrad(() => block.crossattention!.keysAndValues(seen[looksAt === "each" ? layer : 0]));
      const [held, attended] = await Promise.all([values.read(), fused[layer].read()]);
      const width = GPT2.dim / heads;
      attended.forEach((value, i) => {
        const [d, head, t, b] = [i % width, Math.floor(i / width) % heads, Math.floor(i / GPT2.dim) % LENGTH, Math.floor(i / GPT2.dim / LENGTH)];
        let sum = 0;
        for (let s = 0; s < tokens; s++) sum += weights[layer][((b * heads + head) * LENGTH + t) * tokens + s] * held[((b * tokens + s) * heads + head) * width + d];
        expect(Math.abs(value - sum)).toBeLessThan(1e-5);
      });
    }

    const expectedOf = (chosen: readonly number[]): number[] =>
      Array.from({ length: BATCH * LENGTH }, (_, row) => {
        const [b, t] = [Math.floor(row / LENGTH), row % LENGTH];
        const sums = Array.from({ length: tokens }, (_s, s) => chosen.reduce((sum, layer) => Array.from({ length: heads }, (_h, head) => weights[layer][((b * heads + head) * LENGTH + t) * tokens + s]).reduce((total, weight) => total + weight, sum), 0));
        const patches = sums.slice(1);
        return patches.map((sum) => sum / patches.reduce((total, each) => total + each));
      }).flat();
    const all = attentionMaps(model, seen, words())!;
    expect(all.shape).toEqual([BATCH, LENGTH, SIDE, SIDE]);
    const found = (await all.read()) as Float32Array;
    expectSums(found, SIDE * SIDE);
    expect(Math.max(...found) - Math.min(...found)).toBeGreaterThan(0.05);
    expectedOf([...Array(layers).keys()]).forEach((weight, i) => expect(found[i]).toBeCloseTo(weight, 5));
    const one = await attentionMaps(model, seen, words(), { layer: 1 })!.read();
    expectedOf([1]).forEach((weight, i) => expect(one[i]).toBeCloseTo(weight, 5));
    for (const layer of [2, -1, 0.5]) expect(() => attentionMaps(model, seen, words(), { layer })).toThrow(`attentionMaps: the layer must be a whole number from 0 to 1; got ${layer}`);
    model.dispose();
  });
});

describe("captioners that don't look at places", () => {
  test("have no maps", () => {
    using _scope = device().scope();
    const models = [
      new Story(builder(), { encoder: RESNET, gpt2: GPT2 }),
      new Storyteller(builder(), { backbone: RESNET, grid: SIDE, features: 0, attention: null, decoder: RECURRENT }),
      new Prefix(builder(), { encoder: VIT, embedding: 8, hidden: [8], tokens: 2, layers: 0, heads: 1, feedForward: 0, gpt2: GPT2 }),
    ];
    for (const model of models) {
      expect(attentionMaps(model.eval(), noGrad(() => model.see(pictures())), words())).toBeNull();
      model.dispose();
    }
  });

  test("a ViT's class token: weights × values is what the fused attention of the last block gives", async () => {
    using _scope = device().scope();
    const vit = await sharpened(new VisionTransformer(builder(), VIT));
    const tokens = SIDE * SIDE + 1;
    const fused: Tensor[] = [];
    const { blocks } = noGrad(() => observeOps((name, [output]) => void (name === "attention" && fused.push(output)), () => vit.features(pictures())));
    const last = vit.blocks[1];
    const [weights, qkv, attended] = await Promise.all([noGrad(() => last.lookingAt(blocks[0])).read(), noGrad(() => last.attn.qkv.forward(last.norm1.forward(blocks[0]))).read(), fused[1].read()]);
    const width = VIT.dim / VIT.heads;
    const largest = Math.max(...attended.map(Math.abs)); // values are sharpened, too
    attended.forEach((value, i) => {
      const [c, n, b] = [i % VIT.dim, Math.floor(i / VIT.dim) % tokens, Math.floor(i / VIT.dim / tokens)];
      let sum = 0;
      for (let s = 0; s < tokens; s++) sum += weights[((b * VIT.heads + Math.floor(c / width)) * tokens + n) * tokens + s] * qkv[(b * tokens + s) * 3 * VIT.dim + 2 * VIT.dim + c];
      expect(Math.abs(value - sum)).toBeLessThan(1e-5 * largest);
    });
    const maps = classTokenMaps(vit, pictures())!;
    expect(maps.shape).toEqual([BATCH, 1, SIDE, SIDE]);
    const found = (await maps.read()) as Float32Array;
    expectSums(found, SIDE * SIDE);
    const row = (b: number, s: number): number => weights[b * VIT.heads * tokens * tokens + s] + weights[(b * VIT.heads + 1) * tokens * tokens + s]; // of two heads
    for (let b = 0; b < BATCH; b++) for (let s = 1; s < tokens; s++) expect(found[b * 4 + s - 1]).toBeCloseTo(row(b, s) / (row(b, 1) + row(b, 2) + row(b, 3) + row(b, 4)), 5);
    vit.dispose();
    const average = new VisionTransformer(builder(), { ...VIT, pool: "mean" });
    expect(classTokenMaps(average, pictures())).toBeNull();
    average.dispose();
  });
});

describe("overlayAttention", () => {
  const flat = (width: number, height: number, pixel: readonly [number, number, number]): Image => ({ width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => pixel[i % 3]) });
  const pixelsOf = ({ data }: Image): number[][] => Array.from({ length: data.length / 3 }, (_, i) => [...data.subarray(3 * i, 3 * i + 3)]);

  test("leaves the picture as it is where all weights are the greatest, and makes it dark and grey where there are none", () => {
    const image = flat(5, 3, [200, 100, 50]);
    const before = image.data.slice();
    expect(overlayAttention(image, { width: 2, height: 2, data: [0.25, 0.25, 0.25, 0.25] })).toEqual(image);
    const grey = Math.round(0.3 * (0.299 * 200 + 0.587 * 100 + 0.114 * 50));
    expect(new Set(overlayAttention(image, { width: 2, height: 2, data: [0, 0, 0, 0] }).data)).toEqual(new Set([grey]));
    expect(image.data).toEqual(before);
  });

  test("stretches the map between the centres of its places", () => {
    const white = flat(8, 1, [255, 255, 255]);
    const found = pixelsOf(overlayAttention(white, { width: 2, height: 1, data: [0, 0.5] })).map(([red]) => (red / 255 - 0.3) / 0.7);
    [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1].forEach((weight, x) => expect(found[x]).toBeCloseTo(weight, 2));
    const column = pixelsOf(overlayAttention(flat(1, 8, [255, 255, 255]), { width: 1, height: 2, data: Float32Array.of(3, 0) })).map(([red]) => (red / 255 - 0.3) / 0.7);
    [1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0].forEach((weight, y) => expect(column[y]).toBeCloseTo(weight, 2));
  });

  test("has its brightest spot where the weight is greatest, also on maps finer than the picture", () => {
    const data = new Float32Array(49).fill(0.01);
    data[5 * 7 + 2] = 1;
    const brightest = (image: Image): number => image.data.indexOf(image.data.reduce((most, value) => Math.max(most, value)));
    expect(brightest(overlayAttention(flat(7, 7, [90, 90, 90]), { width: 7, height: 7, data })) / 3).toBe(5 * 7 + 2);
    expect(overlayAttention(flat(2, 1, [90, 90, 90]), { width: 7, height: 7, data }).data.length).toBe(6);
  });

  test.each([
    [{ width: 2, height: 2, data: [1, 0, 0] }, "stretchAttention: the map must have 2 × 2 finite weights of at least 0; got 3"],
    [{ width: 0, height: 0, data: [] }, "0 × 0 finite weights of at least 0; got 0"],
    [{ width: 1, height: 2, data: [1, NaN] }, "1 × 2 finite weights of at least 0; got 2, one of them NaN"],
    [{ width: 1, height: 1, data: [-1] }, "one of them -1"],
    [{ width: 1.5, height: 2, data: [1, 1, 1] }, "1.5 × 2 finite weights"],
  ])("refuses %o", (map, message) => {
    expect(() => overlayAttention(flat(2, 2, [1, 2, 3]), map)).toThrow(message);
  });
});
