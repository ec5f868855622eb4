import { describe, expect, it } from "vitest";
import { openSafetensorsSource, parseHeader, readSafetensors, writeSafetensors } from "../src/checkpoint/safetensors.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { decodeTensor, type StoredDType } from "../src/checkpoint/stored.ts";
import { typedArray } from "../src/core/dtype.ts";
import type { HostDType } from "../src/core/dtype.ts";
import { CheckpointError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";

/** A file from its parts; made without the writer, so that broken ones can be made too. */
function file(header: unknown, data: ArrayLike<number> = [], length?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

function join(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function entry(dtype: string, shape: unknown, begin: unknown, end: unknown): Record<string, unknown> {
  return { dtype, shape, data_offsets: [begin, end] };
}

/** What one stored element per little-endian hexadecimal word becomes. */
function decode(dtype: StoredDType, ...words: string[]): number[] {
  const bytes = words.flatMap((word) => word.match(/../g)!.map((byte) => Number.parseInt(byte, 16)).reverse());
  return [...decodeTensor(new Uint8Array(bytes), { dtype, shape: [words.length] }, "test").data];
}

function randomTensor(random: Generator): HostTensor {
  const dtype = random.pick<HostDType>(["f32", "i32", "u32"]);
  const shape = Array.from({ length: random.integer(5) }, () => random.pick([0, 1, 1, 2, 3, 5, 7]));
  const data = typedArray(dtype, shape.reduce((product, size) => product * size, 1));
  // Any 32 bits, NaN and infinities among them; the test compares bytes.
  const bits = new Uint32Array(data.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = random.nextU32();
  return { dtype, shape, data };
}

const bytesOf = (data: ArrayBufferView): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe("round trip", () => {
  const names = ["", "weight", "0", "17", "__proto__", "constructor", 'quote " and \\', "größe/层", "line\nbreak", "\ud800", "{a:}"];

  it("gives back every name, dtype, shape, bit and metadata string", () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Generator(seed);
      const tensors = random.shuffle([...names]).slice(0, random.integer(names.length + 1)).map((name) => [name, randomTensor(random)] as const);
      const metadata = Object.fromEntries(names.slice(0, random.integer(4)).map((name) => [name, `${name} of ${seed}`]));
      const bytes = join(writeSafetensors(tensors, metadata));
      // The same file at every offset from an aligned address.
      const shift = random.integer(9);
      const shifted = new Uint8Array(bytes.length + shift).subarray(shift);
      shifted.set(bytes);
      const found = readSafetensors(shifted, "file");
      expect(found.metadata).toEqual(metadata);
      expect(new Set(found.tensors.keys())).toEqual(new Set(tensors.map(([name]) => name)));
      for (const [name, { dtype, shape, data }] of tensors) {
        const got = found.tensors.get(name)!;
        expect([got.dtype, got.shape]).toEqual([dtype, shape]);
        expect(bytesOf(got.data)).toEqual(bytesOf(data));
      }
    }
  });

  it("views aligned data in place and copies unaligned data", () => {
    const bytes = join(writeSafetensors([["x", { dtype: "f32", shape: [2], data: new Float32Array([1, 2]) }]]));
    expect(readSafetensors(bytes, "file").tensors.get("x")!.data.buffer).toBe(bytes.buffer);
    const node = Buffer.from([0, ...bytes]).subarray(1);
    expect([...readSafetensors(node, "file").tensors.get("x")!.data]).toEqual([1, 2]);
  });

  it("reads tensors that lie at odd offsets, in any order of the header, with padding", () => {
    const header = { c: entry("F32", [1], 3, 7), a: entry("U8", [3], 0, 3), e: entry("F64", [0], 3, 3), d: entry("I16", [], 7, 9) };
    const { tensors } = readSafetensors(file(`${JSON.stringify(header)}   `, [1, 2, 3, 0, 0, 192, 63, 254, 255]), "file");
    expect([...tensors].map(([name, { data }]) => [name, ...data])).toEqual([["a", 1, 2, 3], ["e"], ["c", 1.5], ["d", -2]]);
    expect(tensors.get("d")!.shape).toEqual([]);
  });

  it("reads an empty file of no tensors", () => {
    expect(readSafetensors(file("{}"), "file")).toEqual({ tensors: new Map(), metadata: {} });
  });

  it("writes views of the data, aligned to eight bytes, subarrays included", () => {
    const data = new Int32Array([9, 8, 7, 6]).subarray(1, 3);
    const chunks = writeSafetensors([["x", { dtype: "i32", shape: [2], data }]]);
    expect(chunks[0].length % 8).toBe(0);
    expect(chunks[1].buffer).toBe(data.buffer);
    expect([...readSafetensors(join(chunks), "file").tensors.get("x")!.data]).toEqual([8, 7]);
  });
});

it("reads what the reference implementation (safetensors 0.8.0 for Python) wrote", () => {
  const base64 = [
    "UAIAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCIsImdyw7bDn2UiOiLDqSBcInhcIiJ9LCJsb25nIjp7ImR0eXBlIjoiSTY0Iiwic2hhcGUi",
    "OlsyXSwiZGF0YV9vZmZzZXRzIjpbMCwxNl19LCJkb3VibGUiOnsiZHR5cGUiOiJGNjQiLCJzaGFwZSI6W10sImRhdGFfb2Zmc2V0cyI6WzE2LDI0XX0sImVt",
    "cHR5Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswLDRdLCJkYXRhX29mZnNldHMiOlsyNCwyNF19LCJzaW5nbGUiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6",
    "WzIsMV0sImRhdGFfb2Zmc2V0cyI6WzI0LDMyXX0sImJyYWluIjp7ImR0eXBlIjoiQkYxNiIsInNoYXBlIjpbMl0sImRhdGFfb2Zmc2V0cyI6WzMyLDM2XX0s",
    "ImhhbGYiOnsiZHR5cGUiOiJGMTYiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOlszNiw0Ml19LCJzaG9ydCI6eyJkdHlwZSI6IkkxNiIsInNoYXBlIjpb",
    "MV0sImRhdGFfb2Zmc2V0cyI6WzQyLDQ0XX0sImJ5dGVzIjp7ImR0eXBlIjoiVTgiLCJzaGFwZSI6WzNdLCJkYXRhX29mZnNldHMiOls0NCw0N119LCJmbGFn",
    "cyI6eyJkdHlwZSI6IkJPT0wiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOls0Nyw0OV19fSAgICAg+/////////////9/AAAAAJqZmZmZmbk/AACAPgAA",
    "QMDAPwDAAD4AwAAE1P4BAv8BAA==",
  ].join("");
  const { tensors, metadata } = readSafetensors(Buffer.from(base64, "base64"), "golden");
  expect(metadata).toEqual({ format: "pt", größe: 'é "x"' });
  expect(Object.fromEntries([...tensors].map(([name, { dtype, shape, data }]) => [name, { dtype, shape, data: [...data] }]))).toEqual({
    long: { dtype: "i32", shape: [2], data: [-5, 2147483647] },
    double: { dtype: "f32", shape: [], data: [Math.fround(0.1)] },
    empty: { dtype: "f32", shape: [0, 4], data: [] },
    single: { dtype: "f32", shape: [2, 1], data: [0.25, -3] },
    brain: { dtype: "f32", shape: [2], data: [1.5, -2] },
    half: { dtype: "f32", shape: [3], data: [1.5, -2, 2 ** -14] },
    short: { dtype: "i32", shape: [1], data: [-300] },
    bytes: { dtype: "i32", shape: [3], data: [1, 2, 255] },
    flags: { dtype: "i32", shape: [2], data: [1, 0] },
  });
});

describe("conversion", () => {
  it("F16: normal, subnormal, signed zero, infinities, NaN", () => {
    expect(decode("F16", "3c00", "c000", "3555", "7bff", "0400")).toEqual([1, -2, 0.333251953125, 65504, 2 ** -14]);
    expect(decode("F16", "0001", "83ff", "0000", "8000")).toEqual([2 ** -24, -1023 * 2 ** -24, 0, -0]);
    expect(decode("F16", "7c00", "fc00", "7c01", "fe00")).toEqual([Infinity, -Infinity, NaN, NaN]);
  });

  it("BF16: normal, subnormal, signed zero, infinities, NaN", () => {
    expect(decode("BF16", "3f80", "c000", "7f7f", "8000")).toEqual([1, -2, 255 * 2 ** 120, -0]);
    expect(decode("BF16", "0001", "807f", "7f80", "ff80", "7fc0")).toEqual([2 ** -133, -127 * 2 ** -133, Infinity, -Infinity, NaN]);
  });

  it("F64 is rounded to F32", () => {
    expect(decode("F64", "3fb999999999999a", "7ff0000000000000", "7ff8000000000000")).toEqual([Math.fround(0.1), Infinity, NaN]);
    expect(decode("F64", "7fefffffffffffff", "0000000000000001", "36a0000000000000")).toEqual([Infinity, 0, 2 ** -149]);
  });

  it("integers and booleans", () => {
    expect(decode("I64", "ffffffffffffffff", "000000007fffffff", "ffffffff80000000")).toEqual([-1, 2 ** 31 - 1, -(2 ** 31)]);
    expect(decode("I32", "80000000")).toEqual([-(2 ** 31)]);
    expect(decode("I16", "8000", "7fff")).toEqual([-32768, 32767]);
    expect(decode("I8", "80", "7f")).toEqual([-128, 127]);
    expect(decode("U8", "80", "ff")).toEqual([128, 255]);
    expect(decode("U16", "8000")).toEqual([32768]);
    expect(decode("U32", "ffffffff")).toEqual([2 ** 32 - 1]);
    expect(decode("BOOL", "00", "01", "02")).toEqual([0, 1, 1]);
  });

  it("refuses an I64 that does not fit", () => {
    expect(() => decode("I64", "0000000000000000", "0000000080000000")).toThrow(
      "test: every I64 must fit into 32 bits; got 2147483648 at element 1",
    );
    expect(() => decode("I64", "ffffffff7fffffff")).toThrow("got -2147483649 at element 0");
    expect(() => decode("I64", "8000000000000000")).toThrow("got -9223372036854776000 at element 0");
  });
});

it("an integer that is too large is named by its place in the tensor, also where it is read in parts", async () => {
  const large = file({ ids: entry("I64", [3], 0, 24) }, [...Array<number>(20).fill(0), 1, 0, 0, 0]);
  const reader = await openSafetensorsSource({ size: large.length, read: async (begin, end) => large.subarray(begin, end), close: async () => undefined }, "file");
  await expect(reader.readPart("ids", 1, 3)).rejects.toThrow("got 4294967296 at element 2");
});

describe("refusals", () => {
  const x = entry("F32", [1], 0, 4);
  const four = [0, 0, 0, 0];
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`; // JSON.parse reads that, JSON.stringify overflows the stack
  const cases: [what: string, bytes: Uint8Array, message: string][] = [
    ["metadata that is nested deeply", file(`{"__metadata__":${deep}}`), "__metadata__ must map strings to strings; got a value that is nested too deeply"],
    ["a tensor that is nested deeply", file(`{"x":${deep}}`), 'tensor "x": must be an object of dtype, shape and data_offsets; got a value that is nested too deeply'],
    ["a shape that is nested deeply", file(`{"x":{"dtype":"F32","shape":${deep},"data_offsets":[0,4]}}`, four), "shape must be a list of whole numbers; got a value that is nested too deeply"],
    ["an empty file", new Uint8Array(0), "must be at least 8 bytes long; got 0"],
    ["a file of seven bytes", new Uint8Array(7), "must be at least 8 bytes long; got 7"],
    ["a length above the limit", file("{}", [], 100_000_001n), "the header must be at most 100000000 bytes long; got 100000001"],
    ["a length above 2^63", file("{}", [], 2n ** 64n - 1n), "at most 100000000 bytes long; got 18446744073709551615"],
    ["a length that leads out of the file", file("{}", [], 3n), "must end inside the file, within 2 bytes; got a length of 3"],
    ["a header of no bytes", file(""), 'must begin with "{"; got an empty header'],
    ["a header that begins with a space", file(" {}"), 'must begin with "{"; got byte 0x20'],
    ["a header that is a list", file("[]"), 'must begin with "{"; got byte 0x5b'],
    ["a header that is not JSON", file('{"x":'), "must be JSON in UTF-8; got: "],
    ["bytes behind the JSON", file("{}x"), "must be JSON in UTF-8; got: "],
    ["a header that is not UTF-8", Uint8Array.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]), "must be JSON in UTF-8; got: "],
    ["a tensor twice", file(`{"x":${JSON.stringify(x)},"x":${JSON.stringify(x)}}`, four), 'must be unique; got "x" twice'],
    ["a tensor twice, escaped", file(`{"x":${JSON.stringify(x)},"\\u0078" : ${JSON.stringify(x)}}`, four), 'must be unique; got "x" twice'],
    ["a metadata key twice", file('{"__metadata__":{"{\\"k":"a","{\\"k":"b"}}'), 'must be unique; got "{\\"k" twice'],
    ["a field twice", file('{"x":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', four), 'got "dtype" twice'],
    ["metadata that is a list", file({ __metadata__: ["a"] }), '__metadata__ must map strings to strings; got ["a"]'],
    ["metadata that is null", file({ __metadata__: null }), "__metadata__ must map strings to strings; got null"],
    ["metadata with a number", file({ __metadata__: { a: 1 } }), '__metadata__ must map strings to strings; got 1 for "a"'],
    ["a tensor that is a number", file({ x: 1 }), 'tensor "x": must be an object of dtype, shape and data_offsets; got 1'],
    ["no dtype", file({ x: { shape: [1], data_offsets: [0, 4] } }, four), "dtype must be a string; got none"],
    ["an unknown dtype", file({ x: entry("F8_E4M3", [4], 0, 4) }, four), "dtype must be one of F64, F32"],
    ["an inherited name as dtype", file({ x: entry("toString", [4], 0, 4) }, four), "dtype must be one of F64, F32"],
    ["no shape", file({ x: { dtype: "F32", data_offsets: [0, 4] } }, four), "shape must be a list of whole numbers; got none"],
    ["a negative size", file({ x: entry("F32", [-1], 0, 4) }, four), "shape must be a list of whole numbers; got [-1]"],
    ["a fractional size", file({ x: entry("F32", [0.5], 0, 2) }, [0, 0]), "shape must be a list of whole numbers; got [0.5]"],
    ["a size past 2^53", file('{"x":{"dtype":"U8","shape":[9007199254740993],"data_offsets":[0,0]}}'), "shape must be a list of whole numbers"],
    ["sizes whose product overflows", file({ x: entry("F32", [2 ** 40, 2 ** 40, 0], 0, 0) }), "size in bytes must stay below 2^53; got shape"],
    ["a product that wraps to the right size in 64 bits", file({ x: entry("U8", [2 ** 32, 2 ** 32], 0, 0) }), "must stay below 2^53"],
    ["no offsets", file({ x: { dtype: "F32", shape: [1] } }, four), "must be two whole numbers [begin, end] with begin <= end; got none"],
    ["three offsets", file({ x: { ...x, data_offsets: [0, 4, 8] } }, four), "with begin <= end; got [0,4,8]"],
    ["a negative offset", file({ x: entry("F32", [1], -4, 0) }), "with begin <= end; got [-4,0]"],
    ["offsets in reverse", file({ x: entry("F32", [1], 4, 0) }, four), "with begin <= end; got [4,0]"],
    ["offsets that do not fit the shape", file({ x: entry("F32", [2], 0, 4) }, four), "F32 [2] takes 8 bytes; got 4, data_offsets [0,4]"],
    ["data that begins late", file({ x: entry("F32", [1], 4, 8) }, [...four, ...four]), "must begin at byte 0 of the data"],
    ["a hole", file({ x, y: entry("U8", [1], 5, 6) }, [...four, 0, 0]), 'tensor "y": must begin at byte 4 of the data, where the tensor before it ends; got 5, a hole'],
    ["an overlap", file({ x, y: entry("U8", [2], 3, 5) }, [...four, 0]), "got 3, an overlap"],
    ["two tensors over the same bytes", file({ x, y: x }, four), "must begin at byte 4 of the data, where the tensor before it ends; got 0, an overlap"],
    ["an empty tensor behind the end", file({ x, y: entry("U8", [0], 9, 9) }, four), "got 9, a hole"],
    ["data cut short", file({ x }, [0, 0, 0]), "the header describes a file of 66 bytes; got 65 (the file is cut short; download it or write it again)"],
    ["data behind the last tensor", file({ x }, [...four, 1]), "the header describes a file of 66 bytes; got 67, 1 more than the tensors fill"],
  ];

  it.each(cases)("%s", (_what, bytes, message) => {
    const read = (): unknown => readSafetensors(bytes, "some.safetensors");
    expect(read).toThrow(CheckpointError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^some\.safetensors: [^\n]+ \([^\n]+\)$/);
  });

  it("a header longer than 100 MB when writing", () => {
    expect(() => writeSafetensors([], { big: "x".repeat(100_000_000) })).toThrow("the header must be at most 100000000 bytes long");
  });

  it("tensors that do not make a file", () => {
    const data = new Float32Array(2);
    const tensor: HostTensor = { dtype: "f32", shape: [2], data };
    expect(() => writeSafetensors([["a", tensor], ["a", tensor]])).toThrow('tensor "a": every name must be unique');
    expect(() => writeSafetensors([["__metadata__", tensor]])).toThrow("reserved by the format");
    expect(() => writeSafetensors([["a", { ...tensor, shape: [3] }]])).toThrow("shape [3] must have whole sizes and as many elements as data; got 2");
    expect(() => writeSafetensors([["a", { ...tensor, shape: [-1, -2] }]])).toThrow("shape [-1, -2] must have whole sizes");
    expect(() => writeSafetensors([["a", { ...tensor, dtype: "i32" }]])).toThrow("data must hold i32; got f32");
    expect(() => writeSafetensors([], { a: 1 } as unknown as Record<string, string>)).toThrow("must map strings to strings");
  });

  it("every file with one byte changed or cut off is read or refused with a CheckpointError, never otherwise", () => {
    const whole = file({ __metadata__: { a: "b" }, x: entry("F32", [1], 0, 4), y: entry("I64", [], 4, 12) }, new Uint8Array(12));
    const random = new Generator(1);
    for (let i = 0; i < 3000; i++) {
      const bytes = whole.slice(0, random.integer(4) === 0 ? random.integer(whole.length) : whole.length);
      if (bytes.length > 0) bytes[random.integer(bytes.length)] = random.integer(256);
      try {
        readSafetensors(bytes, "changed");
      } catch (error) {
        expect(error).toBeInstanceOf(CheckpointError);
      }
    }
  });
});

describe("openSafetensorsSource", () => {
  it("reads the header at once and then only the tensors asked for", async () => {
    const bytes = file({ a: entry("F16", [2], 0, 4), b: entry("U8", [3], 4, 7) }, [0, 60, 0, 192, 1, 2, 3]);
    const ranges: [number, number][] = [];
    const source = {
      size: bytes.length,
      read: async (begin: number, end: number) => {
        ranges.push([begin, end]);
        return bytes.slice(begin, end);
      },
      close: async () => undefined,
    };
    const reader = await openSafetensorsSource(source, "remote");
    expect(reader.tensors.get("b")).toEqual({ dtype: "U8", shape: [3], begin: bytes.length - 3, end: bytes.length });
    expect(ranges).toEqual([[0, 8], [8, bytes.length - 7]]);
    expect([...(await reader.read("b")).data]).toEqual([1, 2, 3]);
    expect(ranges[2]).toEqual([bytes.length - 3, bytes.length]);
    expect([...(await reader.readPart("b", 1, 3))]).toEqual([2, 3]);
    expect([...(await reader.readPart("a", 1, 2))]).toEqual([-2]);
    await expect(reader.read("c")).rejects.toThrow('remote: must hold the tensor "c"; got none of that name');
  });
});

it("parseHeader takes a megabyte of escaped JSON in the metadata in its stride", () => {
  const vocabulary = JSON.stringify(Array.from({ length: 100_000 }, (_, i) => `word"${i}`));
  const json = new TextEncoder().encode(JSON.stringify({ __metadata__: { vocabulary } }));
  expect(parseHeader(json, 8 + json.length, "file").metadata.vocabulary).toBe(vocabulary);
});
