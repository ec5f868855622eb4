import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { fromPictures } from "../src/caption/caption-model.ts";
import { beamDecoder } from "../src/caption/decode.ts";
import { loadPublished } from "../src/caption/published.ts";
import { memorySource } from "../src/checkpoint/reader.ts";
import { openSafetensorsSource, readSafetensors } from "../src/checkpoint/safetensors.ts";
import { Generator } from "../src/core/rng.ts";
import type { Shape } from "../src/core/shape.ts";
import { END, START } from "../src/data/vocabulary.ts";
import { recurrentConfigOf, vitConfigOf, type ShapeOf } from "../src/models/config-of.ts";
import { readModelFolders } from "./conformance/case-files.ts";
import { modelCases } from "./conformance/model-cases.ts";
import { isWithin, type Measured } from "./ops/measure.ts";
import { useDevice } from "./device.ts";

const FOLDERS = new URL("golden/models/", import.meta.url);
const WITHOUT_GRADIENTS = new Set(["vit-hf"]); // PyTorch's values of this one are outputs alone

describe("what no tensor tells, or tells of another model", () => {
  const shapes = (of: Readonly<Record<string, Shape>>): ShapeOf => (key) => of[key];
  const vit = (places: number, dim: number): ShapeOf => shapes({ pos_embed: [1, places, dim], "patch_embed.proj.weight": [dim, 3, 8, 8], "blocks.0.mlp.fc1.weight": [100, dim] });

  test("heads are one for each 64 of the width, or must be given", () => {
    expect(vitConfigOf(vit(17, 128))).toMatchObject({ image: 32, heads: 2, mlp: 100 });
    expect(vitConfigOf(vit(17, 40), { heads: 5 }).heads).toBe(5);
    expect(() => vitConfigOf(vit(17, 40))).toThrow("the number of heads must be known for a width of 40, which is no multiple of 64; got none (no tensor tells it");
    expect(() => vitConfigOf(vit(17, 40), { heads: 3 })).toThrow("heads must divide the width 40; got 3");
  });

  test("a ViT without a class token is refused", () => {
    expect(() => vitConfigOf(vit(16, 64))).toThrow('"pos_embed" must have places for a class token and n × n patches; got 16 places');
  });

  test("a recurrent decoder that is none", () => {
    const decoder = { "embedding.weight": [10, 4], "fc.weight": [10, 8] } as const;
    expect(recurrentConfigOf(shapes({ ...decoder, "gru.weight_ih_l0": [24, 4] }))).toEqual({ cell: "gru", vocabulary: 10, embedding: 4, hidden: 8 });
    expect(() => recurrentConfigOf(shapes(decoder))).toThrow("the weights must hold an LSTM, a GRU or an RNN of 8 hidden units; got none");
  });
});

describe("a folder that lacks something", () => {
  const device = useDevice({ adapter: "software" });
  const gpt2 = readModelFolders(new URL("gpt2", FOLDERS).pathname)[0];
  const measure = async (json: Record<string, unknown>): Promise<Measured[]> => modelCases({ ...gpt2, json: { "config.json": gpt2.json["config.json"], ...json } })[0].measure(device());

  test("is compared as far as it goes", async () => {
    const measured = await measure({});
    expect(measured.length).toBeGreaterThan(10);
    expect(measured.filter((each) => !isWithin(each) || each.what.startsWith("generate"))).toEqual([]);
  });

  test("is refused where a text is none", async () => {
    await expect(measure({ "meta.json": { prompt: 3 } })).rejects.toThrow('meta.json: "prompt" must be lists of token ids, all of one length; got 3');
    await expect(measure({ "meta.json": { prompt: [[1, 2]], generate: { greedy: "x" } } })).rejects.toThrow('meta.json: "greedy" must be a list of word ids, or of such lists; got "x"');
  });

  test("says of a decoder that fails what went wrong, beside all else", async () => {
    const measured = await measure({ "meta.json": { prompt: [[1, 9999]], generate: { greedy: [[1, 9999, 3]] } } }); // no such token
    expect(measured.filter((each) => !isWithin(each))).toMatchObject([{ what: "generate/greedy", problem: expect.stringContaining("the logits must leave a word to choose; got NaN") }]);
  });

  test("is no folder", () => {
    expect(() => readModelFolders(new URL("nothing", FOLDERS).pathname)).toThrow("nothing: there is no such folder");
    expect(() => readModelFolders(new URL("gpt2/meta.json", FOLDERS).pathname)).toThrow("gpt2/meta.json: must be a folder; got a file");
  });
});

describe("models with PyTorch's weights: intermediates, outputs, losses, gradients, words", () => {
  const device = useDevice({ adapter: "software" });

  test.each(readModelFolders(FOLDERS.pathname).map((folder) => [folder.name, folder] as const))("%s", async (name, folder) => {
    for (const { name: file, measure } of modelCases(folder)) {
      const measured = await measure(device());
      expect(measured.filter((each) => !isWithin(each)), file).toEqual([]);
      if (file !== name) continue;
      expect(measured.length, file).toBeGreaterThan(1);
      expect(measured.some(({ what }) => what.startsWith("grad/")), file).toBe(!WITHOUT_GRADIENTS.has(name));
    }
  });

  test("beam search in a batch says what it says of each picture alone", async () => {
    const read = (file: string): Uint8Array => readFileSync(new URL(`storyteller-lstm/${file}`, FOLDERS));
    const published = await loadPublished({ device: device(), generator: new Generator(0) }, await openSafetensorsSource(memorySource(read("model.safetensors")), "model.safetensors"));
    if (published.kind !== "storyteller") throw new Error(`a storyteller was recognised as ${published.kind}`);
    const { data, shape: [count, width] } = readSafetensors(read("io.safetensors"), "io.safetensors").tensors.get("features")!;
    const decoder = beamDecoder(device(), fromPictures(published.model, 12, [START]), { width: 4, maxLength: 12, alpha: 0.7, end: END, rule: "narrow" });
    const together = await decoder.decode({ shape: [count, width], data });
    for (let i = 0; i < count; i++) {
      const [alone] = await decoder.decode({ shape: [1, width], data: data.slice(i * width, (i + 1) * width) });
      expect(together[i].map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
      alone.forEach(({ score }, k) => expect(together[i][k].score).toBeCloseTo(score, 4));
    }
    decoder.dispose();
  });
});
