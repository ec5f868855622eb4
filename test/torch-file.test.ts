import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NumpyArray } from "../src/checkpoint/torch/numpy.ts";
import { memorySource, type ByteSource } from "../src/checkpoint/reader.ts";
import { stridedRuns } from "../src/checkpoint/torch/strides.ts";
import { openTorchSource, type TorchReader } from "../src/checkpoint/torch/file.ts";
import { Generator } from "../src/core/rng.ts";
import { CheckpointError } from "../src/core/errors.ts";
import { bytesOfText, concatenate, uint } from "./byte-maker.ts";
import { dict, op, pickle, storage, tensor, tuple, zip } from "./pickle-maker.ts";

interface Expected {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: readonly (number | string)[];
}

const FOLDER = "test/golden/checkpoints";
const EXPECTED = JSON.parse(readFileSync(`${FOLDER}/expected.json`, "utf8")) as Record<string, Record<string, Expected>>;
const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(`${FOLDER}/${name}`));
const open = (bytes: Uint8Array): Promise<TorchReader> => openTorchSource(memorySource(bytes), "model.pth");
const floats = (...values: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

/** A file in the format of today. */
function file(root: readonly number[], storages: Readonly<Record<string, Uint8Array>>, byteOrder = "little"): Uint8Array {
  const data = Object.entries(storages).map(([key, bytes]) => [`model/data/${key}`, bytes] as const);
  return zip([["model/data.pkl", pickle(root)], ["model/byteorder", Uint8Array.from(bytesOfText(byteOrder))], ...data, ["model/version", Uint8Array.from([0x33, 0x0a])]]);
}

/** A file in the format before 1.6. */
function legacy(root: readonly number[], storages: readonly (readonly [key: string, elements: number, bytes: Uint8Array])[], littleEndian = true): Uint8Array {
  const magic = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const system = dict({ protocol_version: op.int(1001), little_endian: littleEndian ? op.true : op.false });
  const keys = [...op.emptyList, ...op.mark, ...storages.flatMap(([key]) => op.text(key)), ...op.appends];
  const pickles = [op.long(...magic), op.int(1001), system, root, keys].map((opcodes) => pickle(opcodes));
  return concatenate(...pickles, ...storages.map(([, elements, bytes]) => concatenate(uint(elements, 8), bytes)));
}

async function refusal(bytes: Uint8Array, use: (reader: TorchReader) => Promise<unknown> = async () => undefined): Promise<string> {
  const error = await open(bytes).then(use).then(() => new Error("the file was read"), (cause: unknown) => cause);
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as CheckpointError).message).toMatch(/^model\.pth: .* \(.*\)$/);
  return (error as CheckpointError).message;
}

describe("what PyTorch wrote", () => {
  test.each(Object.entries(EXPECTED))("%s: names, types, shapes and every value", async (name, tensors) => {
    const reader = await openTorchSource(memorySource(golden(name)), name);
    expect(reader.format).toBe(name.includes("legacy") ? "PyTorch legacy" : "PyTorch zip");
    expect([...reader.tensors.keys()]).toEqual(Object.keys(tensors));
    for (const [key, { dtype, shape, values }] of Object.entries(tensors)) {
      expect([reader.tensors.get(key)?.dtype, reader.tensors.get(key)?.shape], key).toEqual([dtype, shape]);
      const { shape: got, data } = await reader.read(key);
      expect([got, Array.from(data)], key).toEqual([shape, values.map(Number)]);
    }
  });

  test.each(["state-dict.pth", "state-dict-legacy.pth"])("%s: any part of any tensor", async (name) => {
    const reader = await openTorchSource(memorySource(golden(name)), name);
    const random = new Generator(1);
    for (const key of reader.tensors.keys()) {
      const { data } = await reader.read(key);
      for (let i = 0; i < 10; i++) {
        const begin = random.integer(data.length + 1);
        const end = begin + random.integer(data.length - begin + 1);
        expect(await reader.readPart(key, begin, end), `${key} ${begin} ${end}`).toEqual(data.slice(begin, end));
      }
    }
  });

  test.each(["training.pt", "training-legacy.pt"])("%s: what stands beside the weights", async (name) => {
    const { values } = await openTorchSource(memorySource(golden(name)), name);
    expect([...values.keys()]).toEqual(["epoch", "best_bleu", "args", "optimizer_state_dict", "losses", "size", "device", "dtype"]);
    expect([values.get("epoch"), values.get("best_bleu"), values.get("size"), values.get("device")]).toEqual([3, 0.123456789012, [3, 2], "cuda:0"]);
    expect(values.get("args")).toMatchObject({ class: "argparse.Namespace", state: new Map<string, unknown>([["lr", 0.001], ["name", "run"]]) });
    expect(values.get("losses")).toMatchObject({ dtype: "F32", shape: [2] } satisfies Partial<NumpyArray>);
    expect(values.get("dtype")).toMatchObject({ name: "torch.float32" });
  });

  test("reading a contiguous tensor or a part of it reads its bytes alone", async () => {
    const reads: (readonly [number, number])[] = [];
    const memory = memorySource(golden("state-dict.pth"));
    const source: ByteSource = { ...memory, read: async (begin, end) => (reads.push([begin, end]), memory.read(begin, end)) };
    const reader = await openTorchSource(source, "model.pth");
    await reader.read("rows");
    reads.length = 0;
    await reader.read("rows");
    await reader.readPart("matrix", 5, 7);
    const [[begin, end], part] = reads;
    expect(end - begin).toBe(2 * 8 * 4);
    expect(part).toEqual([begin - 16 * 4 + 5 * 4, begin - 16 * 4 + 7 * 4]);
    expect(reads).toHaveLength(2);
  });
});

describe("by hand", () => {
  const one = storage("torch.FloatStorage", "0", 6);

  test("untyped storages, with the type at the tensor", async () => {
    const untyped = storage("torch.storage.UntypedStorage", "0", 24);
    const rebuilt = [...op.global("torch._utils", "_rebuild_tensor_v3"), ...tuple(untyped, op.int(2), tuple(op.int(2), op.int(2)), tuple(op.int(2), op.int(1)), op.false, op.none, op.global("torch", "float32")), ...op.reduce];
    const reader = await open(file(dict({ w: rebuilt }), { 0: floats(0, 1, 2, 3, 4, 5) }));
    expect(await reader.read("w")).toEqual({ dtype: "f32", shape: [2, 2], data: Float32Array.of(2, 3, 4, 5) });
  });

  test("views of storages in legacy files", async () => {
    const view = storage("torch.FloatStorage", "0", 6, tuple(op.text("view"), op.int(2), op.int(4)));
    const reader = await open(legacy(dict({ w: tensor(view, [3], [1], 1), all: tensor(one, [6], [1]) }), [["0", 6, floats(0, 1, 2, 3, 4, 5)]]));
    expect((await reader.read("w")).data).toEqual(Float32Array.of(3, 4, 5));
    expect((await reader.read("all")).data).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5));
  });

  test("legacy pickles longer than the first read", async () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `a.rather.long.name.of.a.parameter.${i}`);
    const root = [...op.emptyDict, ...names.flatMap((name, i) => [...op.text(name), ...tensor(i === 0 ? [...one, ...op.put(1)] : op.get(1), [1], [1], i % 6), ...op.setItem])];
    const reader = await open(legacy(root, [["0", 6, floats(0, 1, 2, 3, 4, 5)]]));
    expect(reader.tensors.size).toBe(20_000);
    expect((await reader.read(names[19_999])).data).toEqual(Float32Array.of(19_999 % 6));
  });

  test.each([
    ["torch.DoubleStorage", new Float64Array(12)],
    ["torch.LongStorage", new BigInt64Array(12)],
    ["torch.FloatStorage", new Float32Array(12)],
    ["torch.IntStorage", new Int32Array(12)],
    ["torch.ShortStorage", new Int16Array(12)],
    ["torch.ByteStorage", new Uint8Array(12)],
  ])("%s: elements that lie apart, wherever the storage begins", async (type, array) => {
    for (let i = 0; i < 12; i++) array[i] = array instanceof BigInt64Array ? BigInt(i) : i;
    for (const key of ["0", "00", "000", "0000"]) {
      const bytes = file(dict({ w: tensor(storage(type, key, 12), [3, 2], [2, 6], 1) }), { [key]: new Uint8Array(array.buffer) });
      const reader = await open(bytes);
      expect([...(await reader.read("w")).data]).toEqual([1, 7, 3, 9, 5, 11]);
      expect([...(await reader.readPart("w", 1, 4))]).toEqual([7, 3, 9]);
    }
  });

  test("a transposed matrix larger than the window is read in one pass", async () => {
    const [rows, columns] = [1500, 1000];
    const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
    const bytes = file(dict({ w: tensor(storage("torch.FloatStorage", "0", rows * columns), [columns, rows], [1, columns]) }), { 0: new Uint8Array(values.buffer) });
    let read = 0;
    const memory = memorySource(bytes);
    const reader = await openTorchSource({ ...memory, read: async (begin, end) => ((read += end - begin), memory.read(begin, end)) }, "model.pth");
    const { data } = await reader.read("w");
    for (let i = 0; i < data.length; i += 997) expect(data[i]).toBe((i % rows) * columns + Math.floor(i / rows));
    expect(read).toBeLessThan(bytes.length + 70_000); // and the end of the zip file once more
  });

  test("keys like __proto__ are keys", async () => {
    const root = [...op.emptyDict, ...op.text("__proto__"), ...tensor(one, [1], [1], 4), ...op.setItem];
    const reader = await open(file(root, { 0: floats(0, 1, 2, 3, 4, 5) }));
    expect((await reader.read("__proto__")).data).toEqual(Float32Array.of(4));
  });

  const weights = { w: tensor(one, [6], [1]) };
  const data = { 0: floats(0, 1, 2, 3, 4, 5) };

  test.each([
    ["alone", dict(weights), []],
    ["as state_dict", dict({ state_dict: dict(weights), epoch: op.int(1) }), ["epoch"]],
    ["as model", dict({ epoch: op.int(1), model: dict(weights) }), ["epoch"]],
    ["as model_state_dict, with another model that is none", dict({ model: op.text("resnet"), model_state_dict: dict(weights) }), ["model"]],
  ])("the state dict %s", async (_name, root, others) => {
    const reader = await open(file(root, data));
    expect([[...reader.tensors.keys()], [...reader.values.keys()]]).toEqual([["w"], others]);
  });

  test.each<[string, Uint8Array, string]>([
    ["nothing but a number", file(op.int(1), {}), "must hold a dict of tensors; got 1"],
    ["a whole model", file([...op.global("torch.nn", "Linear"), ...op.emptyTuple, ...op.newObject], {}), 'got an object of class "torch.nn.Linear" (the whole model was saved'],
    ["two models", file(dict({ generator: dict(weights), critic: dict(weights), epoch: op.int(3) }), data), 'got "generator": a dict of 1, "critic": a dict of 1, "epoch": 3'],
    ["two wrappers", file(dict({ model: dict(weights), state_dict: dict(weights) }), data), "(save one of state_dict and model alone)"],
    ["tensors and other things", file(dict({ ...weights, epoch: op.int(3) }), data), 'got "w": a tensor of F32 [6], "epoch": 3'],
    ["one name twice", file(dict({ model: dict({ "a.w": weights.w, a: dict(weights) }) }), data), 'different names; got "a.w" twice'],
    ["big-endian values", file(dict(weights), data, "big"), 'byteorder must be "little"; got "big"'],
    ["an element beyond the storage", file(dict({ w: tensor(one, [6], [1], 1) }), data), "must lie within its storage of 6 F32; got shape [6], strides [1], offset 1"],
    ["a row beyond the storage", file(dict({ w: tensor(one, [2, 2], [5, 1]) }), data), "got shape [2, 2], strides [5, 1], offset 0"],
    ["an empty tensor beyond the storage", file(dict({ w: tensor(one, [0], [1], 7) }), data), "offset 7"],
    ["a negative stride", file(dict({ w: tensor(one, [2], [-1], 5) }), data), "strides of a tensor must be 1 whole numbers; got [-1]"],
    ["strides of another rank", file(dict({ w: tensor(one, [2], [1, 1]) }), data), "must be 1 whole numbers; got [1, 1]"],
    ["a negative size", file(dict({ w: tensor(one, [-2], [1]) }), data), "a shape must be at most 64 whole numbers"],
    ["sizes beyond 2^53", file(dict({ w: tensor(one, [0x7fffffff, 0x7fffffff], [0, 0]) }), data), "with a product below 2^50; got [2147483647, 2147483647]"],
    ["an expanded tensor of gigabytes", file(dict({ w: tensor(one, [0x7fffffff], [0]) }), data), "elements together, shared ones counted each time; got 2147483647"],
    ["a storage that is missing", file(dict(weights), {}), 'storage "0" of 6 F32 must be an entry of 24 bytes; got none'],
    ["a storage of another size", file(dict(weights), { 0: floats(1, 2) }), "must be an entry of 24 bytes; got 8 bytes"],
    ["a storage of complex numbers", file(dict({ w: tensor(storage("torch.ComplexFloatStorage", "0", 3), [3], [1]) }), data), 'got the name "torch.ComplexFloatStorage"'],
    ["a quantised tensor", file([...op.global("torch._utils", "_rebuild_qtensor"), ...tuple(), ...op.reduce], {}), 'not a call of "torch._utils._rebuild_qtensor"'],
    ["a zip file without a pickle", zip([["a.txt", Uint8Array.of(1)]]), 'must hold one FOLDER/data.pkl; got 0, beside "a.txt"'],
    ["two pickles", zip([["a/data.pkl", pickle(op.none)], ["b/data.pkl", pickle(op.none)]]), "got 2"],
    ["another pickle", pickle(dict({})), "must be a zip file or begin with PyTorch's magic number; got a dict of 0"],
    ["no file at all", new Uint8Array(), "must begin as a zip file or a pickle; got an empty file"],
    ["text", Uint8Array.from(bytesOfText("hello")), "got bytes 104, 101, 108, 108"],
    ["a legacy file of a big-endian machine", legacy(dict(weights), [["0", 6, data[0]]], false), "little_endian must be True; got false"],
    ["a legacy storage that is not listed", legacy(dict(weights), []), 'every storage must be listed; got not "0"'],
    ["a legacy storage listed twice", legacy(dict(weights), [["0", 6, data[0]], ["0", 6, data[0]]]), 'must be listed once; got "0"'],
    ["a legacy storage of another size", legacy(dict(weights), [["0", 5, data[0]]]), 'storage "0" must have 6 elements; got 5'],
    ["a legacy storage cut short", legacy(dict(weights), [["0", 6, floats(1)]]), 'storage "0" must end within the file'],
    ["legacy bytes at the end", concatenate(legacy(dict(weights), [["0", 6, data[0]]]), [0]), "must end with its last storage"],
    ["a legacy view beyond its storage", legacy(dict({ w: tensor(storage("torch.FloatStorage", "0", 6, tuple(op.text("v"), op.int(3), op.int(4))), [1], [1]) }), [["0", 6, data[0]]]), "within its 6 elements; got offset 3, size 4"],
    ["a storage of two types", legacy(dict({ a: weights.w, b: tensor(storage("torch.IntStorage", "0", 6), [1], [1]) }), [["0", 6, data[0]]]), "must be 6 F32 wherever it is used"],
  ])("%s is refused", async (_name, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });

  test("a name that is not there is refused", async () => {
    expect(await refusal(file(dict(weights), data), (reader) => reader.read("v"))).toContain('must hold the tensor "v"; got none of that name');
  });

  test("an integer beyond 32 bits is refused by the name of its tensor", async () => {
    const bytes = file(dict({ ids: tensor(storage("torch.LongStorage", "0", 1), [1], [1]) }), { 0: Uint8Array.from(uint(2 ** 40, 8)) });
    expect(await refusal(bytes, (reader) => reader.read("ids"))).toContain('tensor "ids": every I64 must fit into 32 bits');
  });

  test.each(["state-dict.pth", "state-dict-legacy.pth"])("%s cut short anywhere is refused", async (name) => {
    const whole = golden(name);
    for (let length = 0; length < whole.length; length += 7) await refusal(whole.slice(0, length));
  });
});

test("a shape that grows after it was checked stays as it was", async () => {
  const list = (index: number, value: number): number[] => [...op.emptyList, ...op.put(index), ...op.int(value), ...op.append];
  const grow = (index: number): number[] => [...op.get(index), ...op.int(1000), ...op.append];
  const weight = [...op.global("torch._utils", "_rebuild_tensor_v2"), ...tuple(storage("torch.FloatStorage", "0", 2), op.int(0), list(1, 2), list(2, 1), op.false, op.none), ...op.reduce];
  const reader = await open(file(dict({ model: dict({ weight }), shape: grow(1), strides: grow(2) }), { 0: floats(3, 4) }));
  expect(reader.values.get("shape")).toEqual([2, 1000]);
  expect(await reader.read("weight")).toEqual({ dtype: "f32", shape: [2], data: Float32Array.of(3, 4) });
});

describe("a description of gigabytes is refused before it is read", () => {
  /** Bytes with a hole of zeros before the byte `at`, and how much was read at once. */
  function withHole(bytes: Uint8Array, at: number, hole: number): ByteSource & { readonly most: () => number } {
    let most = 0;
    const read = async (begin: number, end: number): Promise<Uint8Array> => {
      most = Math.max(most, end - begin);
      const filled = new Uint8Array(end - begin);
      if (begin < at) filled.set(bytes.subarray(begin, Math.min(at, end)));
      const after = Math.max(begin, at + hole);
      if (after < end) filled.set(bytes.subarray(after - hole, end - hole), after - begin);
      return filled;
    };
    return { size: bytes.length + hole, read, close: async () => undefined, most: () => most };
  }

  test("legacy", async () => {
    const source = withHole(Uint8Array.from([0x80, 2, 0x58, ...uint(0xffffffff, 4)]), 7, 2 ** 33);
    await expect(openTorchSource(source, "model.pth")).rejects.toThrow("model.pth: the pickles before the values must end within 268435456 bytes; got more");
    expect(source.most()).toBe(2 ** 28);
  });

  test("zip", async () => {
    const name = "model/data.pkl";
    const size = 2 ** 28 + 1;
    const bytes = zip([[name, new Uint8Array()]]);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const header = 30 + view.getUint16(26, true) + view.getUint16(28, true);
    for (const at of [20, 24]) view.setUint32(header + at, size, true);
    view.setUint32(bytes.length - 6, header + size, true); // where the list of the entries begins
    const source = withHole(bytes, header, size);
    await expect(openTorchSource(source, "model.pth")).rejects.toThrow('model.pth: "model/data.pkl" must have at most 268435456 bytes; got 268435457');
    expect(source.most()).toBeLessThan(2 ** 17);
  });
});

describe("strided runs", () => {
  test("visit each element of a range once, at its place", () => {
    const random = new Generator(5);
    for (let round = 0; round < 300; round++) {
      const shape = Array.from({ length: random.integer(5) }, () => 1 + random.integer(4));
      const strides = shape.map(() => random.integer(12));
      const size = shape.reduce((product, n) => product * n, 1);
      const begin = random.integer(size + 1);
      const end = begin + random.integer(size - begin + 1);
      const offsets = new Map<number, number>();
      for (const { position, offset, count, positionStep, offsetStep } of stridedRuns(shape, strides, begin, end)) {
        for (let i = 0; i < count; i++) {
          expect(offsets.has(position + i * positionStep)).toBe(false);
          offsets.set(position + i * positionStep, offset + i * offsetStep);
        }
      }
      expect(offsets.size).toBe(end - begin);
      for (const [position, offset] of offsets) {
        let [rest, expected] = [position, 0];
        for (let axis = shape.length - 1; axis >= 0; axis--) {
          expected += (rest % shape[axis]) * strides[axis];
          rest = Math.floor(rest / shape[axis]);
        }
        expect([position >= begin, position < end, offset]).toEqual([true, true, expected]);
      }
    }
  });
});
