import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { useCommandLine } from "./cli.ts";
import { writePng } from "./png-writer.ts";

const cli = useCommandLine();

function write(files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(cli.path(path)), { recursive: true });
    writeFileSync(cli.path(path), content);
  }
}

/** A picture of one level of grey, stored as colours or as grey. */
function png(level: number, { width = 8, height = 8, grey = false, chunks = [] as readonly (readonly [string, Uint8Array])[] } = {}): Uint8Array {
  return writePng({ width, height, depth: 8, colourType: grey ? 0 : 2, pixel: () => (grey ? [level] : [level, level, level]), chunks });
}

/** An eXIf chunk that says that the picture lies on its side. */
const ON_ITS_SIDE = ["eXIf", Uint8Array.from([0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0])] as const;

const CMYK = readFileSync(fileURLToPath(new URL("golden/images/cmyk-19x13.jpg", import.meta.url)));

const QUIRKS: Readonly<Record<string, string | Uint8Array>> = {
  "quirks/images/a.png": png(10),
  "quirks/images/b.png": png(10),
  "quirks/images/c.png": png(20, { grey: true, width: 12 }),
  "quirks/images/d.png": png(30, { chunks: [ON_ITS_SIDE] }),
  "quirks/images/e.jpg": CMYK,
  "quirks/images/broken.png": png(40).subarray(0, 60),
  "quirks/images/lonely.png": png(50),
  "quirks/stories.txt": "a.png\tA story.\n",
  "quirks/captions.txt": "image,caption\na.png,A dog runs\na.png,A dog runs\nb.png,A dog runs\nb.png,red, green\nc.png,A cat\nd.png,A bird\ne.jpg,Inks\nbroken.png,Lost\ngone.png,Gone\nc.png,\n",
};

describe("sightline data check", () => {
  test("says what is there, what it repaired and what it left out, as a table", async () => {
    write(QUIRKS);
    const { code, stdout } = await cli.run("data", "check", "quirks");
    expect(code).toBe(0);
    const row = (name: string): string => new RegExp(`^  ${name}  +(.*)$`, "m").exec(stdout)?.[1] ?? "";
    expect(row("captions from")).toBe("captions.txt: captions.txt (CSV)");
    expect(row("because it is")).toMatch(/^the first of 2: /);
    expect(row("not used")).toBe("stories.txt: stories.txt (tab-separated)");
    expect(row("images")).toBe("6");
    expect(row("captions")).toBe("7; 1 to 2, median 1 an image");
    expect(row("words")).toBe("1 to 3, median 2 a caption; 9 different ones");
    expect(row("shared captions")).toBe("1 caption of several images");
    expect(row("splits")).toBe("4 train, 1 val, 1 test, drawn by image: none are published here");
    expect(row("pictures")).toBe("1 JPEG, 4 PNG; 1 grey, 1 CMYK, 1 turned by EXIF");
    expect(row("duplicates")).toMatch(/^1 group of pictures with the same bytes: a\.png = b\.png/);
    const [repaired, dropped] = stdout.slice(stdout.indexOf("\nrepaired\n")).split("\ndropped\n");
    expect(repaired).toContain("1  line with a comma in a caption that is not in quotes, taken as part of the caption: line 5");
    for (const line of [
      "1  line repeating an image's caption: line 3",
      "1  line without a caption: line 11",
      "1  captioned image without a file: gone.png",
      "1  picture without a caption: images/lonely.png",
      "1  picture that cannot be read: broken.png: must be a complete PNG",
    ]) expect(dropped).toContain(line);
  });

  test("prints the same as one JSON object", async () => {
    write(QUIRKS);
    const { code, stdout, stderr } = await cli.run("data", "check", "quirks", "--json", "--pictures");
    expect([code, stderr]).toEqual([0, ""]);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      folder: "quirks",
      used: [{ file: "captions.txt", format: "captions.txt (CSV)" }],
      unused: [{ file: "stories.txt", format: "stories.txt (tab-separated)" }],
      images: 6,
      captions: { count: 7, perImage: { min: 1, median: 1, max: 2 }, shared: 1 },
      splits: { kind: "drawn", source: null, train: 4, val: 1, test: 1 },
      pictures: { sound: 5, decoded: true, formats: { JPEG: 1, PNG: 4 }, grey: 1, cmyk: 1, turned: 1, duplicates: { groups: 1, examples: [{ count: 2, images: ["a.png", "b.png"] }] } },
    });
    expect(report.repaired.map(({ count, what }: { count: number; what: string }) => [count, what])).toEqual([[1, "with a comma in a caption that is not in quotes, taken as part of the caption"]]);
    expect(report.dropped).toHaveLength(5);
    expect(report.dropped.at(-1)).toMatchObject({ count: 1, noun: "picture", what: "that cannot be decoded" });
  });

  test("decodes every picture where it is asked to: what its headers hide is found", async () => {
    const whole = png(7, { width: 40, height: 40 });
    const hollow = writePng({ width: 40, height: 40, depth: 8, colourType: 2, pixel: () => [7, 7, 7] });
    // The same chunk with fewer rows than the header promises; its checksum is right.
    const short = writePng({ width: 40, height: 10, depth: 8, colourType: 2, pixel: () => [7, 7, 7] });
    const headed = Uint8Array.from([...hollow.subarray(0, 33), ...short.subarray(33)]);
    write({ "deep/a.png": whole, "deep/b.png": headed, "deep/captions.txt": "image,caption\na.png,x\nb.png,y\n" });
    const shallow = JSON.parse((await cli.run("data", "check", "deep", "--json")).stdout);
    const deep = JSON.parse((await cli.run("data", "check", "deep", "--json", "--pictures")).stdout);
    expect([shallow.pictures.sound, deep.pictures.sound]).toEqual([2, 1]);
    expect(deep.dropped[0].places[0]).toMatch(/^b\.png: must be a complete PNG/);
  });

  test("warns of a picture that is tested and trained on under two names", async () => {
    const image = (filename: string, split: string): object => ({ filename, split, sentences: [{ raw: "x" }] });
    write({ "leak/a.png": png(1), "leak/b.png": png(1), "leak/dataset.json": JSON.stringify({ images: [image("a.png", "train"), image("b.png", "test")] }) });
    const { code, stdout } = await cli.run("data", "check", "leak");
    expect(code).toBe(0);
    expect(stdout).toContain("1 of them in several splits, so that a picture that is tested is also trained on");
    expect(stdout).toContain("1 train, 0 val, 1 test, from dataset.json");
    expect(stdout).toMatch(/^repaired: nothing$/m);
  });

  test("reads the caption file that is asked for", async () => {
    write(QUIRKS);
    const { stdout } = await cli.run("data", "check", "quirks", "--captions", "stories.txt", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ because: "asked for with --captions", images: 1, used: [{ file: "stories.txt" }], unused: [{ file: "captions.txt" }] });
  });

  test.each<[string, Readonly<Record<string, string | Uint8Array>>, RegExp]>([
    ["absent", {}, /^error: absent must be a folder with images\/ .*; got nothing of that name \(check the path\)\n$/],
    ["bare", { "bare/notes.md": "x" }, /^error: bare must hold .*; got no text and no picture in it \(write captions\.txt: .*\)\n$/],
    ["unmatched", { "unmatched/captions.txt": "image,caption\na.png,x\n", "unmatched/b.png": png(1) }, /^error: unmatched must hold at least one JPEG or PNG picture with a caption; got 1 pictures, 1 captioned names in captions\.txt, no match between them \(.*\)\n$/],
    ["damaged", { "damaged/dataset.json": '{"images": [{"sentences', "damaged/b.png": png(1) }, /^error: dataset\.json: must be JSON; .*\(is the download complete\?\)\n$/],
    ["unsound", { "unsound/captions.txt": "image,caption\na.png,x\n", "unsound/a.png": "text" }, /error: unsound must hold at least one picture that can be read; got 1 captioned picture, none of them sound \(.*\)\n$/],
  ])("ends with 1 and one line where nothing can be used: %s", async (folder, files, message) => {
    write(files);
    const { code, stderr } = await cli.run("data", "check", folder);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  test("says what it lacks, and what there is", async () => {
    const bare = await cli.run("data", "check");
    expect(bare.code).toBe(1);
    expect(bare.stderr).toMatch(/^error: missing required argument 'folder'/);
    expect((await cli.run("data", "check", "--help")).stdout).toContain("sightline data check my-photos");
    expect((await cli.run("data", "--help")).stdout).toContain("check");
  });
});
