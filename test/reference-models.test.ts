import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { beamDecoder } from "../src/caption/decode.ts";
import { loadPublished } from "../src/caption/published.ts";
import { memorySource } from "../src/checkpoint/reader.ts";
import { openSafetensorsSource, readSafetensors } from "../src/checkpoint/safetensors.ts";
import { Generator } from "../src/core/rng.ts";
import { END } from "../src/data/vocabulary.ts";
import { readModelFolders } from "./conformance/case-files.ts";
import { modelCases } from "./conformance/model-cases.ts";
import { isWithin } from "./ops/measure.ts";
import { useDevice } from "./device.ts";

const FOLDERS = new URL("golden/models/", import.meta.url);
const WITHOUT_GRADIENTS = new Set(["vit-hf"]); // PyTorch's values of this one are outputs alone

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
    const decoder = beamDecoder(device(), published.model.text(), { width: 4, maxLength: 12, alpha: 0.7, end: END, rule: "narrow" });
    const together = await decoder.decode({ shape: [count, width], data });
    for (let i = 0; i < count; i++) {
      const [alone] = await decoder.decode({ shape: [1, width], data: data.slice(i * width, (i + 1) * width) });
      expect(together[i].map(({ ids }) => ids)).toEqual(alone.map(({ ids }) => ids));
      alone.forEach(({ score }, k) => expect(together[i][k].score).toBeCloseTo(score, 4));
    }
    decoder.dispose();
  });
});
