import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { NumpyArray, numpyTensor } from "../src/checkpoint/torch/numpy.ts";
import { readPickle } from "../src/checkpoint/torch/pickle.ts";
import { OPCODES, REFUSED_OPCODES } from "../src/checkpoint/torch/pickle-opcodes.ts";
import { PickleGlobal, PickleRecord, type PickleDict, type PickleValue } from "../src/checkpoint/torch/pickle-values.ts";
import { CheckpointError } from "../src/core/errors.ts";
import { uint } from "./byte-maker.ts";
import { dict, op, pickle, tuple } from "./pickle-maker.ts";

const golden = (name: string): Uint8Array => new Uint8Array(readFileSync(`test/golden/checkpoints/${name}`));
const read = (...opcodes: readonly (readonly number[])[]): PickleValue => readPickle(pickle(...opcodes), "test.pkl");
const repeat = (count: number, opcodes: readonly number[]): number[] => Array.from({ length: count }, () => opcodes).flat();

/** The error's message; a read that succeeds, or throws something else, fails the test. */
function refusal(bytes: Uint8Array): string {
  try {
    readPickle(bytes, "test.pkl");
  } catch (error) {
    expect(error).toBeInstanceOf(CheckpointError);
    const { message } = error as CheckpointError;
    expect(message).not.toContain("\n");
    expect(message.length).toBeLessThan(600);
    expect(message).toMatch(/^test\.pkl: .* \(.*\)$/);
    return message;
  }
  throw new Error("the pickle was read");
}

describe("what Python wrote", () => {
  test.each([2, 3, 4, 5])("a vocabulary, inertly, in protocol %d", (protocol) => {
    const vocabulary = readPickle(golden(`vocabulary-protocol-${protocol}.pkl`), "vocab.pkl") as PickleRecord;
    expect(vocabulary).toBeInstanceOf(PickleRecord);
    expect(vocabulary.class).toBe("__main__.Vocabulary");
    const state = vocabulary.state as PickleDict;
    const words = ["<pad>", "<start>", "<end>", "<unk>", "dog", "größe", "🐕"];
    expect([...(state.get("word2idx") as PickleDict)]).toEqual(words.map((word, i) => [word, i]));
    expect([...(state.get("idx2word") as PickleDict)]).toEqual(words.map((word, i) => [i, word]));
    expect(state.get("itself")).toBe(state.get("idx2word"));
    expect(state.get("frequencies")).toEqual(new Map([["dog", 7], ["größe", 300], ["🐕", 70000]]));
    expect(state.get("order")).toEqual(new Map([["__proto__", 1], ["constructor", 2]]));
    expect(state.get("special")).toEqual(new Set(["<pad>"]));
    expect(state.get("none")).toEqual(new Set());
    expect(state.get("shape")).toEqual([1, [], [2, [3, [4, 5]]], [], [[6]]]);
    expect(state.get("numbers")).toEqual([0, -1, 255, 256, 65536, -(2 ** 31), 2 ** 31, -(2 ** 40), 2 ** 53 - 1, 2n ** 60n, -(2n ** 63n), 0.1, -1e300]);
    expect(state.get("constants")).toEqual([null, true, false]);
    expect((state.get("bytes") as Uint8Array[]).map((bytes) => [...bytes])).toEqual([[], [0, 255], [97, 98]]);
    expect((state.get("type") as PickleGlobal).name).toMatch(/^(__builtin__\.long|builtins\.int)$/);
  });

  test.each([2, 3, 4, 5])("arrays and scalars of NumPy in protocol %d", (protocol) => {
    const root = readPickle(golden(`arrays-protocol-${protocol}.pkl`), "features.pkl") as PickleDict;
    const arrays = root.get("arrays") as ReadonlyMap<string, NumpyArray>;
    const values = (name: string): unknown[] => {
      const { shape, data } = numpyTensor(arrays.get(name)!, name);
      return [shape, [...data]];
    };
    for (const name of ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u4", "u2", "u1"]) expect(values(name)).toEqual([[3], [0, 1, 100]]);
    expect(values("?")).toEqual([[3], [0, 1, 1]]);
    expect(values("matrix")).toEqual([[2, 3], [0, 1, 2, 3, 4, 5]]);
    expect(values("columns")).toEqual([[2, 3, 4], Array.from({ length: 24 }, (_, i) => i)]);
    expect(values("rank 0")).toEqual([[], [2.5]]);
    expect(values("empty")).toEqual([[0, 4], []]);
    expect(root.get("scalars")).toEqual(new Map<string, unknown>([["f8", 0.1], ["f4", 0.5], ["i8", -(2 ** 40)], ["u1", 200], ["?", true]]));
  });

  test.each<[string, readonly number[], PickleValue]>([
    ["SHORT_BINSTRING", [0x55, 3, 0x61, 0xc3, 0xa4], "aä"],
    ["BINUNICODE8", [0x8d, ...uint(4, 8), 0xef, 0xbb, 0xbf, 0x61], "\ufeffa"],
    ["BINBYTES8", [0x8e, ...uint(2, 8), 1, 2], Uint8Array.of(1, 2)],
    ["BYTEARRAY8", [0x96, ...uint(0, 8)], new Uint8Array()],
    ["LONG1 of no bytes", op.long(), 0],
    ["LONG1 of 255 bytes", op.long(...repeat(255, [255])), -1],
    ["a number of NumPy 2", [...op.global("numpy._core.multiarray", "scalar"), ...tuple([...op.global("numpy", "dtype"), ...tuple(op.text("i2")), ...op.reduce], op.bytes([1, 1])), ...op.reduce], 257],
  ])("%s", (_name, opcodes, value) => {
    expect(read(opcodes)).toEqual(value);
  });

  test("every byte of a file is needed, and nothing may follow", () => {
    const whole = golden("vocabulary-protocol-4.pkl");
    for (let length = 0; length < whole.length; length++) expect(refusal(whole.slice(0, length))).toMatch(/must go on|bytes/);
    expect(refusal(Uint8Array.from([...whole, 0]))).toContain("must end with its pickle");
  });
});

describe("instances of unknown classes", () => {
  test("of dicts and lists keep their entries", () => {
    const record = read(op.global("a.b", "C"), tuple(op.int(1)), op.newObject, op.mark, op.text("k"), op.int(2), op.setItems, op.mark, op.int(3), op.int(4), op.appends, dict({ __proto__: op.int(5), x: op.int(6) }), op.build) as PickleRecord;
    expect([record.class, record.args, [...record.entries], record.elements]).toEqual(["a.b.C", [1], [["k", 2]], [3, 4]]);
    expect((record.state as PickleDict).get("x")).toBe(6);
  });

  test("nothing of the file becomes a property of an object", () => {
    const value = read(op.emptyDict, op.mark, op.text("__proto__"), op.emptyDict, op.text("toString"), op.int(1), op.setItems) as PickleDict;
    expect([...value.keys()]).toEqual(["__proto__", "toString"]);
    expect(Object.getPrototypeOf(value)).toBe(Map.prototype);
    expect(({} as Record<string, unknown>).toString).toBe(Object.prototype.toString);
  });
});

describe("refusals", () => {
  test.each([
    ["os.system", op.global("os", "system"), tuple(op.text("touch /tmp/x"))],
    ["posix.system", op.global("posix", "system"), tuple(op.text("ls"))],
    ["builtins.eval", op.global("builtins", "eval"), tuple(op.text("1"))],
    ["builtins.getattr", op.global("builtins", "getattr"), tuple(op.text("1"), op.text("x"))],
    ["torch.load", op.global("torch", "load"), tuple(op.text("1"))],
    ["constructor.constructor", op.global("constructor", "constructor"), tuple(op.text("return process"))],
    ["__proto__.toString", op.global("__proto__", "toString"), tuple()],
    ["a\\nb.c", op.text("a\nb"), [...op.text("c"), 0x93, ...tuple()]],
  ])("a call of %s, by name", (name, callable, args) => {
    expect(refusal(pickle(callable, args, op.reduce))).toContain(`only data may be made, not a call of "${name}" (nothing was executed`);
  });

  test.each([...REFUSED_OPCODES])("opcode %d, %s, by name", (code, name) => {
    expect(refusal(pickle(op.none, [code]))).toContain(`${name} (0x${code.toString(16)})`);
  });

  test("every other byte is no opcode", () => {
    const messages = Array.from({ length: 256 }, (_, code) => refusal(Uint8Array.from([code])));
    expect(messages.filter((message) => message.includes("there must be an opcode; got byte 0x"))).toHaveLength(256 - OPCODES.size - REFUSED_OPCODES.size);
  });

  test.each([
    ["a stack that is empty", pickle(), "there must be a value on the stack"],
    ["values below a mark", pickle(op.int(1), op.mark, op.tuple1), "there must be a value on the stack"],
    ["a mark that is missing", pickle(op.int(1), op.tuple), "there must be a mark"],
    ["two values at the end", pickle(op.int(1), op.int(1)), "must leave one value; got 2"],
    ["a memo that is empty", pickle(op.get(7)), "must have been stored; got number 7"],
    ["entries of a list", pickle(op.emptyList, op.int(1), op.int(1), op.setItem), "added to a dict; got a list of 0"],
    ["elements of a tuple", pickle(op.emptyTuple, op.int(1), op.append), "added to a list; got a tuple of 0"],
    ["members of a list", pickle(op.emptyList, op.mark, op.addItems), "added to a set"],
    ["keys without a value", pickle(op.emptyDict, op.mark, op.int(1), op.setItems), "in turn; got 1"],
    ["a call of data", pickle(op.int(1), op.emptyTuple, op.reduce), "can be called; got 1"],
    ["arguments that are none", pickle(op.global("a", "b"), op.int(1), op.reduce), "must be a tuple; got 1"],
    ["an instance of data", pickle(op.int(1), op.emptyTuple, op.newObject), "can have instances; got 1"],
    ["a state of data", pickle(op.int(1), op.int(1), op.build), "given a state; got 1"],
    ["a persistent id", pickle(op.text("x"), op.persistentId), "got a persistent id"],
    ["a protocol of the future", Uint8Array.from([0x80, 6]), "at most 5; got 6"],
    ["text that is not UTF-8", pickle([0x8c, 1, 255]), "must be UTF-8"],
    ["a length beyond the end", pickle([0x8e, ...uint(2 ** 50, 8)]), "go on for 1125899906842624 bytes"],
    ["a name of two megabytes", pickle([0x63, ...repeat(2_000_000, [0x61])]), "at most 512 bytes"],
    ["a name of many characters", pickle(op.text("a".repeat(513)), op.text("b"), [0x93]), "at most 512 characters"],
    ["a name that is a number", pickle(op.int(1), op.text("b"), [0x93]), "named by two strings; got 1"],
    ["a list that contains itself", pickle(op.emptyList, op.put(0), op.get(0), op.append), "must not contain itself"],
    ["a record that contains itself", pickle(op.global("a", "b"), op.emptyTuple, op.newObject, op.put(0), op.get(0), op.build), "must not contain itself"],
    ["nesting of 1,001", pickle(op.emptyTuple, repeat(1000, op.tuple1)), "at most 1000 deep"],
    ["nesting that shared parts hide", pickle(op.mark, op.emptyTuple, repeat(600, op.tuple1), op.put(0), op.get(0), repeat(500, op.tuple1), op.tuple), "at most 1000 deep"],
    ["2^60 parts in 400 bytes", pickle(op.emptyTuple, ...Array.from({ length: 60 }, (_, i) => [...op.put(i), ...op.get(i), ...op.tuple2])), "parts, shared ones counted each time"],
    ["keys that collide", pickle(op.emptyDict, op.long(0, 0, 0, 0, 0, 0, 0, 0, 1), op.int(1), op.setItem), "must fit into 64 bits"],
    ["members that collide", pickle(op.global("builtins", "set"), tuple([...op.emptyList, ...op.long(0, 0, 0, 0, 0, 0, 0, 0, 1), ...op.append]), op.reduce), "must fit into 64 bits"],
    ["an array of another size", pickle(op.global("numpy.core.numeric", "_frombuffer"), tuple(op.bytes([1, 2]), [...op.global("numpy", "dtype"), ...tuple(op.text("f4")), ...op.reduce], tuple(op.int(1)), op.text("C")), op.reduce), "takes 4 bytes; got 2 bytes"],
    ["an array of objects", pickle(op.global("numpy", "dtype"), tuple(op.text("O8")), op.reduce), 'must be one of f8, f4, f2, i8, i4, i2, i1, u4, u2, u1, b1; got "O8"'],
    ["a big-endian array", pickle(op.global("numpy", "dtype"), tuple(op.text("f4")), op.reduce, tuple(op.int(3), op.text(">")), op.build), 'little-endian; got ">"'],
    ["an array of another class", pickle(op.global("numpy.core.multiarray", "_reconstruct"), tuple(op.global("os", "x")), op.reduce), "of class numpy.ndarray"],
    ["a line break in a value", pickle(op.global("_codecs", "encode"), tuple(op.text("x"), op.text("a\nb")), op.reduce), 'stored as latin1; got "a\\nb"'],
    ["a long value", pickle(op.global("torch", "device"), tuple(op.text("x")), op.reduce, op.text("y".repeat(9999)), op.reduce), 'must be a tuple; got "yyy'],
  ])("%s", (_name, bytes, message) => {
    expect(refusal(bytes)).toContain(message);
  });
});

describe("malice", () => {
  test("nesting up to the limit is read", () => {
    expect(read(op.emptyTuple, repeat(999, op.tuple1))).toBeDefined();
  });

  test("the same value passed to calls over and over is refused, whatever the call", () => {
    const text = op.text("x".repeat(100_000));
    const list = [...op.emptyList, ...op.mark, ...repeat(100_000, [0x4b, 1]), ...op.appends];
    const call = (callable: readonly number[], index: number): number[] => [...callable, ...op.get(index), ...op.tuple1, ...op.reduce];
    for (const [value, callable] of [[text, op.global("_codecs", "encode")], [list, op.global("builtins", "set")]] as const) {
      const bytes = pickle(op.mark, value, op.put(0), repeat(1000, call(callable, 0)), op.tuple);
      const start = performance.now();
      expect(refusal(bytes)).toContain("must not copy the same values over and over");
      expect(performance.now() - start).toBeLessThan(2000);
    }
  });

  test("many values take no more than time in proportion", () => {
    const start = performance.now();
    const value = read(op.emptyList, op.mark, repeat(100_000, [0x4b, 1, ...op.emptyTuple, 0x94]), op.appends);
    expect(value).toHaveLength(200_000);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("more lists and dicts than honest files hold are refused before they fill the memory", () => {
    const bytes = new Uint8Array(2_000_010).fill(op.emptyTuple[0]);
    expect(refusal(bytes)).toContain("at most 2000000 lists, tuples, dicts and objects");
  });
});
