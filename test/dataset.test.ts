import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import UPNG from "upng-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { splitByImage } from "../src/data/dataset.ts";
import { openDataset, readImage } from "../src/data/files.ts";
import type { DatasetOptions } from "../src/data/open-dataset.ts";

describe("splitByImage", () => {
  const examples = (count: number): { image: string; captions: string[] }[] =>
    Array.from({ length: count }, (_, i) => ({ image: `photo${i}.jpg`, captions: ["a", "b"] }));
  const sizes = (count: number): number[] => {
    const divided = splitByImage(examples(count), 0);
    return (["train", "val", "test"] as const).map((name) => divided.filter(({ split }) => split === name).length);
  };

  test.each([
    [100, [80, 10, 10]],
    [24, [20, 2, 2]],
    [10, [8, 1, 1]],
    [5, [3, 1, 1]],
    [4, [4, 0, 0]],
    [1, [1, 0, 0]],
  ])("divides %i images into %j", (count, expected) => {
    expect(sizes(count)).toEqual(expected);
  });

  test("depends on the seed and the names, not on the order", () => {
    const byName = (seed: number, reversed: boolean): Record<string, string> => {
      const list = reversed ? examples(50).reverse() : examples(50);
      return Object.fromEntries(splitByImage(list, seed).map(({ image, split }) => [image, split]));
    };
    expect(byName(1, false)).toEqual(byName(1, true));
    expect(byName(1, false)).not.toEqual(byName(2, false));
  });

  test("takes another share where one is asked for", () => {
    const examples = Array.from({ length: 20 }, (_, i) => ({ image: `${i}.png`, captions: ["a"] }));
    const counts = (["train", "val", "test"] as const).map((split) => splitByImage(examples, 1, 0.25).filter((example) => example.split === split).length);
    expect(counts).toEqual([10, 5, 5]);
  });
});

describe("openDataset", () => {
  let folder: string;
  const png = new Uint8Array(UPNG.encode([new Uint8Array(16 * 16 * 4).fill(255).buffer], 16, 16, 0));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "sightline-dataset-"));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
    for (const [path, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), content);
    }
  }

  async function refusal(options?: DatasetOptions, path = folder): Promise<string> {
    const error: unknown = await openDataset(path, options).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InputError);
    return (error as InputError).message;
  }

  const karpathy = (splits: Readonly<Record<string, string>>): string => {
    const images = Object.entries(splits).map(([filename, split]) => {
      return { filename, split, sentences: [{ raw: `raw ${filename}` }] };
    });
    return JSON.stringify({ images });
  };

  test("pairs captions with pictures and says what is missing on either side", async () => {
    await write({
      "captions.txt": "image,caption\na.png,one\nimages/a.png,two\nB.PNG,three\ngone.png,four\nc.png,five\n",
      "images/a.png": png,
      "images/b.png": png,
      "images/sub/c.png": png,
      "images/lonely.png": png,
      "images/notes.txt": "not a picture",
      "beside.png": png,
    });
    const dataset = await openDataset(folder);
    expect(dataset.source).toBe(join(folder, "captions.txt"));
    expect(dataset.examples).toEqual([
      { image: "a.png", captions: ["one", "two"], split: "train" },
      { image: "B.PNG", captions: ["three"], split: "train" },
      { image: "c.png", captions: ["five"], split: "train" },
    ]);
    expect(dataset.warnings).toEqual([
      "captions.txt: 1 image named in two ways, whose captions are joined (images/a.png)",
      "captions.txt: 1 captioned image without a file (gone.png): left out",
      "captions.txt: 2 pictures without a caption (beside.png, images/lonely.png): left out",
      "captions.txt: with 3 images none is held back: val and test are empty",
    ]);
    expect((await dataset.load(dataset.examples[2])).width).toBe(16);
    expect(await refusal({ strict: true })).toContain("1 of 5 captioned images have no file (gone.png)");
  });

  test("does not guess between pictures of one name", async () => {
    await write({ "captions.txt": "image,caption\nx.png,one\nb/x.png,two\n", "images/a/x.png": png, "images/b/x.png": png });
    const dataset = await openDataset(folder);
    expect(dataset.examples.map(({ image }) => image)).toEqual(["b/x.png"]);
  });

  test("prefers a Karpathy JSON, then captions.txt, then stories.txt, and takes the one asked for", async () => {
    await write({ "images/a.png": png, "stories.txt": "a.png\tstory\n" });
    const captions = async (options?: DatasetOptions): Promise<readonly string[]> =>
      (await openDataset(folder, options)).examples[0].captions;
    expect(await captions()).toEqual(["story"]);
    await write({ "captions.txt": "image,caption\na.png,caption\n" });
    expect(await captions()).toEqual(["caption"]);
    await write({ "dataset_a.json": karpathy({ "a.png": "test" }) });
    expect(await captions()).toEqual(["raw a.png"]);
    expect(await captions({ captions: "stories.txt" })).toEqual(["story"]);
    await write({ "dataset_b.json": karpathy({ "a.png": "val" }) });
    expect(await refusal()).toContain("must hold one dataset*.json; got dataset_a.json, dataset_b.json");
    expect((await openDataset(folder, { captions: "dataset_b.json" })).examples[0].split).toBe("val");
    expect(await refusal({ captions: "absent.txt" })).toContain("must hold absent.txt");
  });

  test("takes the Karpathy JSON's splits for other captions too, unless told otherwise", async () => {
    const names = Array.from({ length: 10 }, (_, i) => `${i}.png`);
    await write({
      ...Object.fromEntries(names.map((name) => [`images/${name}`, png])),
      "stories.txt": names.map((name) => `${name}\tstory of ${name}\n`).join(""),
      "dataset.json": karpathy(Object.fromEntries(names.slice(1).map((name, i) => [name, i < 4 ? "test" : "restval"]))),
    });
    const published = await openDataset(folder, { captions: "stories.txt" });
    expect(published.split("test").map(({ image }) => image)).toEqual(["1.png", "2.png", "3.png", "4.png"]);
    expect(published.split("train")).toHaveLength(6);
    expect(published.warnings).toEqual(["dataset.json: 1 image without a published split, taken as train (0.png)"]);
    const redrawn = await openDataset(folder, { captions: "stories.txt", redrawSplit: true, seed: 3 });
    expect([redrawn.split("train").length, redrawn.split("val").length, redrawn.split("test").length]).toEqual([8, 1, 1]);
  });

  test("leaves a bad picture out with a warning, or refuses it", async () => {
    await write({
      "stories.txt": "good.png\tone\nbad.png\ttwo\nempty.jpg\tthree\n",
      "images/good.png": png,
      "images/bad.png": png.subarray(0, 60),
      "images/empty.jpg": "",
    });
    const dataset = await openDataset(folder);
    expect(dataset.examples).toHaveLength(3);
    for (let pass = 0; pass < 2; pass++) {
      const decoded: string[] = [];
      for await (const { example, image } of dataset.decoded()) {
        decoded.push(`${example.image} ${image.width}×${image.height}`);
      }
      expect(decoded).toEqual(["good.png 16×16"]);
    }
    const problems = dataset.warnings.filter((warning) => warning.includes("decodeImage"));
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain(join(folder, "images", "bad.png"));
    expect(problems[1]).toContain("got an empty file");
    await expect(dataset.load(dataset.examples[1])).rejects.toThrow(InputError);

    const verified = await openDataset(folder, { verify: true });
    expect(verified.examples.map(({ image }) => image)).toEqual(["good.png"]);
    expect(await refusal({ verify: true, strict: true })).toContain("bad.png must be a complete PNG");
  });

  test("says what a folder that cannot be used lacks", async () => {
    expect(await refusal({}, join(folder, "absent"))).toMatch(/must be a folder with images\/ .*; got nothing of that name/);
    expect(await refusal()).toMatch(/must hold dataset\*\.json, captions\.txt or stories\.txt; got an empty folder/);
    await write({ "captions.txt": "image,caption\na.png,one\n" });
    expect(await refusal({}, join(folder, "captions.txt"))).toContain("got a file, not a folder");
    expect(await refusal()).toContain("got 0 pictures, 1 captioned names in captions.txt, no match between them");
    await write({ "images/a.png": "text" });
    expect(await refusal({ verify: true })).toMatch(/got 1, of which none decodes: .*4 bytes that begin with 74 65 78 74/);
    await write({ "captions.txt": "" });
    expect(await refusal()).toContain("0 captioned names in captions.txt");
  });

  test("readImage names the path it cannot read", async () => {
    const absent = readImage(join(folder, "absent.jpg"));
    await expect(absent).rejects.toThrow(/absent\.jpg must be a readable file; got nothing of that name/);
    await expect(readImage(folder)).rejects.toThrow(/got a folder/);
  });
});
