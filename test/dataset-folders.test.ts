import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import UPNG from "upng-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findFolder, reopen } from "../src/cli/data-choice.ts";
import { InputError } from "../src/core/errors.ts";
import type { CaptionDataset } from "../src/data/dataset.ts";
import { openDataset } from "../src/data/files.ts";
import { folderSource } from "../src/data/pictures.ts";
import { squash } from "../src/data/preprocess.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sightline-folders-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A picture of one level of grey. */
function png(level = 255): Uint8Array {
  return new Uint8Array(UPNG.encode([new Uint8Array(8 * 8 * 4).fill(level).map((value, i) => (i % 4 === 3 ? 255 : value)).buffer], 8, 8, 0));
}

async function write(files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
}

/** Pictures of some paths. */
function pictures(...paths: readonly string[]): Record<string, Uint8Array> {
  return Object.fromEntries(paths.map((path) => [path, png()]));
}

/** The images of each split that has any. */
function splits(dataset: CaptionDataset): Record<string, string[]> {
  const named = (["train", "val", "test"] as const).map((split) => [split, dataset.split(split).map(({ image }) => image)] as const);
  return Object.fromEntries(named.filter(([, images]) => images.length > 0));
}

describe("data sets as they unpack", () => {
  test("Flickr8k: two folders, the token file, the lists, and an id without an image", async () => {
    await write({
      ...pictures("Flicker8k_Dataset/a.png", "Flicker8k_Dataset/b.png", "Flicker8k_Dataset/c.png", "Flicker8k_Dataset/d.png"),
      "Flickr8k_text/Flickr8k.token.txt": "a.png#0\tone\na.png#1\ttwo\nb.png#0\tthree\nc.png#0\tfour\nb.png.1#0\tfive\nd.png#0\tsix\n",
      "Flickr8k_text/Flickr8k.lemma.token.txt": "a.png#0\tlemma\n",
      "Flickr8k_text/ExpertAnnotations.txt": "a.png\tb.png#2\t1\t1\t1\n",
      "Flickr8k_text/Flickr_8k.trainImages.txt": "a.png\n",
      "Flickr8k_text/Flickr_8k.devImages.txt": "b.png\n",
      "Flickr8k_text/Flickr_8k.testImages.txt": "c.png\n",
    });
    const dataset = await openDataset(folder);
    expect(dataset.used).toEqual([{ file: "Flickr8k_text/Flickr8k.token.txt", format: "Flickr8k.token.txt (name#number, tab, caption)" }]);
    expect(dataset.unused).toEqual([]);
    expect(splits(dataset)).toEqual({ train: ["a.png", "d.png"], val: ["b.png"], test: ["c.png"] });
    expect(dataset.examples[0].captions).toEqual(["one", "two"]);
    expect(dataset.warnings).toEqual([
      "Flickr8k_text/Flickr8k.token.txt: 1 captioned image without a file (b.png.1): left out",
      "Flickr8k_text/Flickr_8k.devImages.txt + Flickr8k_text/Flickr_8k.testImages.txt + Flickr8k_text/Flickr_8k.trainImages.txt: 1 image without a published split, taken as train (d.png)",
    ]);
  });

  test("Flickr30k: a folder in a folder, and results.csv in both", async () => {
    const results = "image_name| comment_number| comment\na.png| 0| A dog , running .\na.png| 1   A cat .\n";
    await write({ ...pictures("flickr30k_images/flickr30k_images/a.png"), "flickr30k_images/results.csv": results, "flickr30k_images/flickr30k_images/results.csv": results });
    const dataset = await openDataset(folder);
    expect(dataset.used.map(({ file }) => file)).toEqual(["flickr30k_images/results.csv"]);
    expect(dataset.examples).toEqual([{ image: "a.png", captions: ["A dog , running .", "A cat ."], split: "train" }]);
    expect(dataset.findings).toMatchObject([{ kind: "repaired", count: 1, places: ["line 3"] }]);
  });

  test("COCO: train and val of one year together, pictures in folders of their own, instances left alone", async () => {
    const coco = (names: readonly string[]): string =>
      JSON.stringify({ images: names.map((file_name, id) => ({ id, file_name })), annotations: names.map((name, image_id) => ({ image_id, caption: `about\n${name}` })) });
    await write({
      ...pictures("train2017/1.png", "train2017/2.png", "val2017/1.png", "val2017/9.png"),
      "annotations/captions_train2017.json": coco(["1.png", "2.png"]),
      "annotations/captions_val2017.json": coco(["1.png", "9.png"]),
      "annotations/instances_val2017.json": JSON.stringify({ images: [{ id: 1, file_name: "1.png" }], annotations: [{ image_id: 1, bbox: [0, 0, 1, 1] }] }),
    });
    const dataset = await openDataset(folder);
    expect(splits(dataset)).toEqual({ train: ["train2017/1.png", "train2017/2.png"], val: ["val2017/1.png", "val2017/9.png"] });
    expect(dataset.examples[0].captions).toEqual(["about 1.png"]);
    expect(dataset.splits).toBe("published");
    const source = await folderSource(dataset, squash(4), false);
    expect([source.train.length, source.validation.length, source.test === source.validation]).toEqual([2, 2, true]);

    await write({ "annotations/captions_train2014.json": coco(["1.png"]) });
    await expect(openDataset(folder)).rejects.toThrow("must hold one COCO captions JSON; got annotations/captions_train2014.json, annotations/captions_train2017.json, annotations/captions_val2017.json");
    expect((await openDataset(folder, { captions: "captions_val2017.json" })).examples).toHaveLength(2);
  });

  test("a Karpathy JSON names folders, and splits by image, never by caption", async () => {
    const image = (filename: string, split: string): object => ({ filename, filepath: "val2014", cocoid: 1, split, sentences: [{ raw: "x" }, { raw: "y" }] });
    await write({ ...pictures("val2014/a.png", "val2014/b.png", "val2014/c.png"), "dataset_coco.json": JSON.stringify({ images: [image("a.png", "restval"), image("b.png", "val"), image("c.png", "test")] }) });
    const dataset = await openDataset(folder);
    expect(splits(dataset)).toEqual({ train: ["val2014/a.png"], val: ["val2014/b.png"], test: ["val2014/c.png"] });
    expect(dataset.examples.every(({ captions }) => captions.length === 2)).toBe(true);
  });

  test("a picture that is named in two splits is held back", async () => {
    const image = (filename: string, split: string): object => ({ filename, split, sentences: [{ raw: `${filename} ${split}` }] });
    await write({ ...pictures("images/a.png", "images/b.png"), "dataset.json": JSON.stringify({ images: [image("images/a.png", "test"), image("a.png", "train"), image("b.png", "train")] }) });
    expect(splits(await openDataset(folder))).toEqual({ train: ["b.png"], test: ["images/a.png"] });
  });
});

describe("caption files of any name", () => {
  test("are told by their contents where no well-known one is there", async () => {
    await write({ ...pictures("a.png"), "notes.txt": "bring milk\n", "my captions.csv": "file_name,text\na.png,A dog\n" });
    const dataset = await openDataset(folder);
    expect(dataset.used).toEqual([{ file: "my captions.csv", format: "captions.txt (CSV)" }]);
    await write({ "captions.txt": "a.png#0\tA cat\n" });
    expect((await openDataset(folder)).examples[0].captions).toEqual(["A cat"]);
  });

  test("may be UTF-16, as spreadsheets write it", async () => {
    await write({ ...pictures("a.png"), "stories.txt": Buffer.from("\uFEFFa.png\tEl niño corre\r\n", "utf16le") });
    expect((await openDataset(folder)).examples[0].captions).toEqual(["El niño corre"]);
  });

  test("a file of more than 500 MB is refused before it is read", async () => {
    await write({ ...pictures("a.png"), "captions.txt": "image,caption\na.png,x\n" });
    await truncate(join(folder, "captions.txt"), 500_000_001);
    await expect(openDataset(folder)).rejects.toThrow(/captions\.txt must take at most 500 MB; got 501 MB/);
  });

  test("a file that was asked for and holds no captions is refused", async () => {
    await write({ ...pictures("a.png"), "captions.txt": "image,caption\na.png,x\n", "notes.txt": "bring milk\n" });
    await expect(openDataset(folder, { captions: "notes.txt" })).rejects.toThrow("notes.txt must hold captions; got a file that looks like none of: Karpathy JSON");
  });
});

describe("folders with quirks", () => {
  test("links are followed once, hidden files and pictures of other formats are left alone", async () => {
    await write({ ...pictures("store/a.png", ".cache/b.png", "store/._a.png"), "store/c.webp": "x", "captions.txt": "image,caption\na.png,x\nb.png,y\npipe.png,z\n" });
    await symlink(".", join(folder, "store", "loop"));
    await symlink("nowhere", join(folder, "store", "gone.png"));
    execFileSync("mkfifo", [join(folder, "store", "pipe.png")]);
    const dataset = await openDataset(folder);
    expect(dataset.examples.map(({ image }) => image)).toEqual(["a.png"]);
    expect(dataset.findings.map(({ noun, what, places }) => [noun, what, places])).toEqual([
      ["captioned image", "without a file", ["b.png", "pipe.png"]],
      ["picture", "that is no JPEG or PNG", ["store/c.webp"]],
    ]);
    const linked = join(folder, "linked");
    await symlink(join(folder, "store"), linked);
    expect((await openDataset(folder)).examples).toHaveLength(1);
  });

  test("a name that pictures in several folders have is said to be ambiguous", async () => {
    await write({ ...pictures("a/x.png", "b/x.png", "y.png"), "captions.txt": "image,caption\nx.png,1\ny.png,2\n" });
    expect((await openDataset(folder)).findings[0]).toMatchObject({ kind: "dropped", count: 1, what: "whose name pictures in several folders have", places: ["x.png"] });
  });

  test("of many undecodable pictures, the first are told and the rest counted", async () => {
    const names = Array.from({ length: 15 }, (_, i) => `${i}.png`);
    await write({ ...Object.fromEntries(names.map((name) => [name, "text"])), ...pictures("good.png"), "captions.txt": `image,caption\n${[...names, "good.png"].map((name) => `${name},x\n`).join("")}` });
    const { warnings, examples } = await openDataset(folder, { verify: true });
    expect(examples).toHaveLength(1);
    expect(warnings.filter((line) => line.includes("must be a JPEG or PNG"))).toHaveLength(10);
    expect(warnings).toContain("captions.txt: 15 pictures that cannot be decoded (0.png, 1.png, 2.png and 12 more): left out");
  });
});

describe("folderSource", () => {
  const captions = (count: number): string => `image,caption\n${Array.from({ length: count }, (_, i) => `${i}.png,picture ${i}\n`).join("")}`;

  test("keeps what fits, decodes the rest anew, and gives the same pictures", async () => {
    await write({ "captions.txt": captions(4), ...Object.fromEntries([10, 60, 110, 160].map((level, i) => [`${i}.png`, png(level)])) });
    const dataset = await openDataset(folder);
    const loads: string[] = [];
    const watched: CaptionDataset = { ...dataset, load: (example) => (loads.push(example.image), dataset.load(example)) };
    const source = await folderSource(watched, squash(4), true, undefined, 2 * 4 * 4 * 3);
    for (const round of [1, 2]) {
      const levels = await Promise.all([0, 1, 2, 3].map(async (i) => (await source.train.fitted(i)).data[0]));
      expect(levels).toEqual([10, 60, 110, 160]);
      expect(loads).toEqual(Array.from({ length: round }, () => ["2.png", "3.png"]).flat());
    }
  });

  test("says how far it is, and reaches the end with a picture left out", async () => {
    await write({ "captions.txt": captions(3), "0.png": png(), "1.png": "text", "2.png": png() });
    const dataset = await openDataset(folder);
    const steps: [number, number][] = [];
    const { train } = await folderSource(dataset, squash(4), true, (done, total) => steps.push([done, total]));
    expect([train.length, steps.at(-1)]).toEqual([2, [3, 3]]);
    expect(dataset.warnings.some((line) => line.includes("1.png must be a JPEG or PNG picture"))).toBe(true);
  });
});

describe("the fingerprint", () => {
  /** Writes a picture at a time of its own: file systems tell times apart by some milliseconds only. */
  async function rewrite(level: number, seconds: number): Promise<void> {
    await write({ "a.png": png(level) });
    await utimes(join(folder, "a.png"), seconds, seconds);
  }

  const fingerprint = async (): Promise<string> => (await findFolder(folder, 0, 1)).choice.fingerprint;

  test("changes with a byte of a picture, and with nothing but contents", async () => {
    await write({ "captions.txt": "image,caption\na.png,x\n" });
    await rewrite(10, 1000);
    const first = await fingerprint();
    await rewrite(10, 2000);
    expect(await fingerprint()).toBe(first);
    await rewrite(11, 3000);
    expect(await fingerprint()).not.toBe(first);
    await rewrite(10, 4000);
    expect(await fingerprint()).toBe(first);
    await write({ "captions.txt": "image,caption\na.png,y\n" });
    expect(await fingerprint()).not.toBe(first);
  });

  test("is what a run is continued by", async () => {
    await write({ "captions.txt": "image,caption\na.png,x\n" });
    await rewrite(10, 1000);
    const { choice } = await findFolder(folder, 0, 1);
    expect((await reopen(choice, undefined, squash(4), "runs/x")).source.train.length).toBe(1);
    await rewrite(11, 2000);
    await expect(reopen(choice, undefined, squash(4), "runs/x")).rejects.toThrow("which has changed since");
  });

  test("names a picture that can no longer be read", async () => {
    await write({ "captions.txt": "image,caption\na.png,x\n", "a.png": png() });
    const dataset = await openDataset(folder);
    await rm(join(folder, "a.png"));
    await expect(dataset.digest(dataset.examples[0])).rejects.toThrow(/a\.png must be a readable file; got nothing of that name/);
    await expect(dataset.digest(dataset.examples[0])).rejects.toThrow(InputError);
  });
});
