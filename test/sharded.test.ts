import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadSafetensors, openCheckpoint, saveSafetensors, saveSharded, type CheckpointContents } from "../src/checkpoint/files.ts";
import { openCheckpointSource } from "../src/checkpoint/open.ts";
import { memorySource, type CheckpointReader } from "../src/checkpoint/reader.ts";
import { parseShardIndex, planShards } from "../src/checkpoint/sharded.ts";
import { encodeTensor, type StoredDType, type StoredTensor } from "../src/checkpoint/stored.ts";
import { CheckpointError, InputError } from "../src/core/errors.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { randomTensor } from "./memory-checkpoint.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sightline-sharded-"));
  path = join(folder, "model.safetensors");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const TENSORS = new Map<string, HostTensor>([
  ["a", randomTensor([10], 1)],
  ["b", randomTensor([3, 4], 2)],
  ["large", randomTensor([100], 3)],
  ["c", randomTensor([5], 4)],
  ["none", { dtype: "f32", shape: [0, 2], data: new Float32Array(0) }],
  ["one", { dtype: "i32", shape: [], data: Int32Array.of(7) }],
]);

function contentsOf(tensors: ReadonlyMap<string, HostTensor>, metadata: Record<string, string> = {}): CheckpointContents {
  const stored = new Map([...tensors].map(([key, { dtype, shape }]) => [key, { dtype: dtype.toUpperCase() as StoredDType, shape }]));
  return { tensors: stored, metadata, bytesOf: (name) => [encodeTensor(tensors.get(name)!.data, stored.get(name)!.dtype)] };
}

async function allOf(reader: CheckpointReader): Promise<Map<string, HostTensor>> {
  const all = new Map<string, HostTensor>();
  for (const key of reader.tensors.keys()) all.set(key, await reader.read(key));
  await reader.close();
  return all;
}

const save = (maxBytes?: number): Promise<readonly string[]> => saveSharded(path, contentsOf(TENSORS, { format: "pt" }), maxBytes);
const shard = (number: number, of = 3): string => `model-0000${number}-of-0000${of}.safetensors`;
const INDEX = "model.safetensors.index.json";

/** Changes the index that was written. */
async function editIndex(change: (weightMap: Record<string, string>) => void): Promise<void> {
  const index = JSON.parse(await readFile(join(folder, INDEX), "utf8")) as { weight_map: Record<string, string> };
  change(index.weight_map);
  await writeFile(join(folder, INDEX), JSON.stringify(index));
}

describe("saveSharded", () => {
  test("writes one file where one is enough, as saveSafetensors does", async () => {
    expect(await save()).toEqual([path]);
    const written = await readFile(path);
    await saveSafetensors(path, TENSORS, { format: "pt" });
    expect(written.equals(await readFile(path))).toBe(true);
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
  });

  test("cuts a checkpoint into files of at most so many bytes, and an index that names them", async () => {
    const paths = await save(100);
    expect(paths).toEqual([shard(1), shard(2), shard(3), INDEX].map((name) => join(folder, name)));
    expect((await readdir(folder)).sort()).toEqual([shard(1), shard(2), shard(3), INDEX].sort());
    expect(JSON.parse(await readFile(join(folder, INDEX), "utf8"))).toEqual({
      metadata: { total_size: 4 * (10 + 12 + 100 + 5 + 1) },
      weight_map: { a: shard(1), b: shard(1), large: shard(2), c: shard(3), none: shard(3), one: shard(3) },
    });
    expect([...(await loadSafetensors(join(folder, shard(3)))).tensors.keys()]).toEqual(["c", "none", "one"]);
    const reader = await openCheckpoint(join(folder, INDEX));
    expect(reader.format).toBe("sharded");
    expect(reader.metadata).toEqual({ format: "pt", total_size: "512" });
    expect([...reader.tensors.keys()]).toEqual([...TENSORS.keys()]);
    expect(await reader.readPart("large", 10, 12)).toEqual(TENSORS.get("large")!.data.slice(10, 12));
    await expect(reader.read("nothing")).rejects.toThrow('model.safetensors.index.json: must hold the tensor "nothing"; got none of that name');
    expect(await allOf(reader)).toEqual(TENSORS);
  });

  test("writes nothing when the tensors do not make a file, and no index when a file fails", async () => {
    const reserved = contentsOf(new Map([...TENSORS, ["__metadata__", randomTensor([1], 1)]]));
    await expect(saveSharded(path, reserved, 100)).rejects.toThrow(CheckpointError);
    expect(await readdir(folder)).toEqual([]);
    const failing = contentsOf(TENSORS);
    const bytesOf = (name: string): Iterable<Uint8Array> => {
      if (name === "c") throw new Error("the source broke");
      return failing.bytesOf(name) as Iterable<Uint8Array>;
    };
    await expect(saveSharded(path, { ...failing, bytesOf }, 100)).rejects.toThrow("the source broke");
    expect((await readdir(folder)).sort()).toEqual([shard(1), shard(2)]);
    await expect(saveSharded(join(folder, "no", "model.safetensors"), contentsOf(TENSORS))).rejects.toThrow("the folder");
  });

  test("keeps the order, and gives a tensor beyond the limit a file of its own", () => {
    const stored = new Map<string, StoredTensor>(["x", "y", "z"].map((key, i) => [key, { dtype: "F16", shape: [[4, 1000, 4][i]] }]));
    const plan = (maxBytes: number): string[][] => planShards(stored, "m", maxBytes).map(({ tensors }) => [...tensors.keys()]);
    expect(plan(10)).toEqual([["x"], ["y"], ["z"]]);
    expect(plan(2008)).toEqual([["x", "y"], ["z"]]);
    expect(plan(2016)).toEqual([["x", "y", "z"]]);
    expect(plan(Infinity)).toEqual([["x", "y", "z"]]);
    expect(planShards(new Map(), "m", 1)).toEqual([{ file: "m.safetensors", tensors: new Map() }]);
  });
});

describe("an index", () => {
  test.each<[what: string, text: string, message: string]>([
    ["text", "weight_map", "index.json: an index must be JSON; got "],
    ["a list", "[1]", "a JSON file must be an index with a weight_map to be opened as a checkpoint; got none"],
    ["a config", '{"model_type":"gpt2"}', "give the file with the weights, such as model.safetensors"],
    ["a list for a map", '{"weight_map":["a"]}', "must be an index with a weight_map"],
    ["no tensors", '{"weight_map":{}}', "weight_map must name at least one tensor; got none"],
    ["a number for a file", '{"weight_map":{"a":1}}', 'weight_map must name files beside the index; got 1 for "a"'],
    ["the same key twice", '{"weight_map":{"a":"x","\\u0061":"y"}}', 'every key of the index must be unique; got "a" twice'],
    ["a way up", '{"weight_map":{"a":"../x.safetensors"}}', 'got "../x.safetensors" for "a"'],
    ["a way up inside", '{"weight_map":{"a":"x/../../y"}}', 'got "x/../../y" for "a"'],
    ["an absolute path", '{"weight_map":{"a":"/etc/passwd"}}', 'got "/etc/passwd" for "a"'],
    ["a drive", '{"weight_map":{"a":"C:x"}}', 'got "C:x" for "a"'],
    ["a path of Windows", '{"weight_map":{"a":"..\\\\x"}}', 'for "a"'],
    ["a line break", '{"weight_map":{"a":"x\\ny"}}', 'got "x\\ny" for "a"'],
    ["lists in lists", `{"weight_map":{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`, "got a value that is nested too deeply"],
    ["a null byte", '{"weight_map":{"a":"x\\u0000y"}}', 'for "a"'],
    ["no name", '{"weight_map":{"a":""}}', 'got "" for "a"'],
  ])("refuses %s", (_what, text, message) => {
    expect(() => parseShardIndex(text, "index.json")).toThrow(CheckpointError);
    expect(() => parseShardIndex(text, "index.json")).toThrow(message);
  });

  test("takes a key that is named like a field of every object, and metadata of any kind", () => {
    const { weightMap, metadata } = parseShardIndex('{"metadata":{"total_size":12,"note":"x","more":{"a":1}},"weight_map":{"__proto__":"a.safetensors","constructor":"sub/b.safetensors"}}', "index.json");
    expect([...weightMap]).toEqual([["__proto__", "a.safetensors"], ["constructor", "sub/b.safetensors"]]);
    expect(metadata).toEqual({ total_size: "12", note: "x" });
  });

  test.each<[what: string, damage: () => Promise<unknown>, message: string]>([
    ["a missing file", () => rm(join(folder, shard(2))), `${INDEX}: must have its part ${shard(2)} beside it; cannot read `],
    ["a file that is cut short", async () => writeFile(join(folder, shard(2)), (await readFile(join(folder, shard(2)))).subarray(0, 100)), `${shard(2)}: `],
    ["a tensor that is not where it should be", () => editIndex((map) => void (map.c = shard(1))), `${INDEX}: ${shard(1)} must hold the tensor "c"; got 2 others`],
    ["a tensor that the index does not list", () => editIndex((map) => void delete map.none), `${shard(3)} must hold 2 tensors; got 3, among them "none", which the index does not list`],
    ["a tensor in two files", () => saveSafetensors(join(folder, shard(3)), [...TENSORS].filter(([key]) => ["c", "none", "one", "a"].includes(key))), `${shard(3)} must hold 3 tensors; got 4, among them "a", which the index says is in ${shard(1)}`],
    ["a file of another checkpoint", () => copyFile(join(folder, shard(1)), join(folder, shard(3))), `${shard(3)} must hold the tensor "c"; got 2 others (the files don't belong together`],
    ["an index in place of a file", () => copyFile(join(folder, INDEX), join(folder, shard(1))), `${shard(1)}: a checkpoint must be a safetensors or PyTorch file, or the index of one in several files; got an index alone`],
  ])("notices %s", async (_what, damage, message) => {
    await save(100);
    await damage();
    await expect(openCheckpoint(join(folder, INDEX))).rejects.toThrow(CheckpointError);
    await expect(openCheckpoint(join(folder, INDEX))).rejects.toThrow(message);
  });

  test("closes every file, also when it is refused", async () => {
    await save(100);
    const closed: string[] = [];
    const open = async (name: string): ReturnType<typeof openCheckpointSource> => {
      const source = async (file: string) => ({ ...memorySource(await readFile(join(folder, file))), close: async () => void closed.push(file) });
      return openCheckpointSource(await source(name), name, source);
    };
    const reader = await open(INDEX);
    expect(closed).toEqual([INDEX]);
    await reader.close();
    expect(closed.sort()).toEqual([shard(1), shard(2), shard(3), INDEX].sort());
    closed.length = 0;
    await editIndex((map) => void (map.c = shard(2)));
    await expect(open(INDEX)).rejects.toThrow("must hold the tensor");
    expect(closed.sort()).toEqual([shard(1), shard(2)]);
  });
});

describe("openCheckpoint", () => {
  test("finds the weights in a folder", async () => {
    await save(100);
    const reader = await openCheckpoint(folder);
    expect(reader.file).toBe(join(folder, INDEX));
    await reader.close();
    await save();
    expect(await allOf(await openCheckpoint(folder))).toEqual(TENSORS);
    await mkdir(join(folder, "empty"));
    await expect(openCheckpoint(join(folder, "empty"))).rejects.toThrow(`${join(folder, "empty")}: a folder must hold model.safetensors, model.safetensors.index.json, pytorch_model.bin or pytorch_model.bin.index.json; got an empty folder`);
    await writeFile(join(folder, "empty", "best.pth"), "x");
    await expect(openCheckpoint(join(folder, "empty"))).rejects.toThrow(`got others: best.pth (give the file's own path, such as ${join(folder, "empty", "best.pth")})`);
  });

  test("goes by what is in a file, not by its name", async () => {
    await saveSafetensors(join(folder, "weights.bin"), TENSORS);
    const renamed = await openCheckpoint(join(folder, "weights.bin"));
    expect(renamed.format).toBe("safetensors");
    await renamed.close();
    const torch = new URL("golden/checkpoints/", import.meta.url);
    for (const [file, format] of [["state-dict.pth", "PyTorch zip"], ["state-dict-legacy.pth", "PyTorch legacy"]] as const) {
      await copyFile(fileURLToPath(new URL(file, torch)), path);
      const reader = await openCheckpoint(path);
      expect(reader.format).toBe(format);
      await reader.close();
    }
  });

  test("refuses what is no plain file", async () => {
    await expect(openCheckpoint(join(folder, "no"))).rejects.toThrow(new InputError(`cannot read ${join(folder, "no")}: there is no such file`, "check the path"));
    await expect(openCheckpoint("/dev/zero")).rejects.toThrow("it is a device or a pipe");
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await expect(openCheckpoint(join(folder, "pipe"))).rejects.toThrow("it is a device or a pipe");
  });

  const zipOf = (name: string): string => `PK\x03\x04${"\0".repeat(22)}${String.fromCharCode(name.length)}\0\0\0${name}data`;
  test.each<[what: string, content: string, message: string]>([
    ["an empty file", "", "got an empty file (download it or write it again)"],
    ["a pointer of Git LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:12", "got a Git LFS pointer, not the file it stands for (run git lfs pull"],
    ["a page", "\n<!DOCTYPE html><html>", "got a web page"],
    ["another page", "<html lang=en>", "got a web page"],
    ["XML of an error", '<?xml version="1.0"?><Error>', "got a web page"],
    ["GGUF", "GGUF\x03\0\0\0", "got a GGUF file"],
    ["HDF5", "\x89HDF\r\n\x1a\n\0", "got an HDF5 file"],
    ["a NumPy array", "\x93NUMPY\x01\0", "got a NumPy array"],
    ["a NumPy archive", zipOf("weight.npy"), "got a NumPy archive (.npz)"],
    ["an ONNX model", "\x08\x07\x12\x07pytorch", "got an ONNX model"],
    ["a photograph", "\xff\xd8\xff\xe0\0", "got a JPEG picture"],
    ["a drawing", "\x89PNG\r\n\x1a\n", "got a PNG picture"],
    ["a packed file", "\x1f\x8b\x08\0", "got a file compressed by gzip"],
    ["a zip file of something else", zipOf("word/document.xml"), "model.safetensors: "],
    ["text", "hello", "model.safetensors: must be at least 8 bytes long; got 5"],
    ["a damaged header", "\x10\0\0\0\0\0\0\0{\"a\":", "model.safetensors: the header must end inside the file, within 5 bytes; got a length of 16"],
  ])("says what a file is instead: %s", async (_what, content, message) => {
    await writeFile(path, content, "latin1");
    await expect(openCheckpoint(path)).rejects.toThrow(CheckpointError);
    await expect(openCheckpoint(path)).rejects.toThrow(message);
  });

  test("shows the first bytes of a file that it does not know", async () => {
    await writeFile(join(folder, "weights.bin"), Uint8Array.of(1, 2, 3, 255, 5));
    await expect(openCheckpoint(join(folder, "weights.bin"))).rejects.toThrow("got bytes 01 02 03 ff at its start");
    await writeFile(join(folder, "notes.txt"), "hello \"you\"\r\nsecond line");
    await expect(openCheckpoint(join(folder, "notes.txt"))).rejects.toThrow('got text that begins with "hello \\"you\\"" (give the file with the weights, such as model.safetensors)');
  });
});
