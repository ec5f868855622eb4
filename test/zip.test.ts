import { describe, expect, test } from "vitest";
import { memorySource } from "../src/checkpoint/reader.ts";
import { contentsOf, readZip, type ZipEntry } from "../src/checkpoint/torch/zip.ts";
import { CheckpointError } from "../src/core/errors.ts";
import { bytesOfText, uint } from "./byte-maker.ts";
import { zip, type ZipOptions } from "./pickle-maker.ts";

const FILES = [["a/data.pkl", "hello"], ["a/größe", ""], ["__proto__", "x".repeat(300)]].map(([name, text]) => [name, Uint8Array.from(bytesOfText(text))] as const);

async function contents(bytes: Uint8Array): Promise<[string, string][]> {
  const source = memorySource(bytes);
  const entries = await readZip(source, "test.zip");
  const read = async (entry: ZipEntry): Promise<string> => {
    const begin = await contentsOf(source, entry, "test.zip");
    return new TextDecoder().decode(await source.read(begin, begin + entry.size));
  };
  return Promise.all([...entries].map(async ([name, entry]) => [name, await read(entry)] as [string, string]));
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await contents(bytes).then(() => new Error("the file was read"), (cause: unknown) => cause);
  expect(error).toBeInstanceOf(CheckpointError);
  expect((error as CheckpointError).message).toMatch(/^test\.zip: .* \(.*\)$/);
  return (error as CheckpointError).message;
}

/** The file with a little-endian integer changed. */
function patched(at: number, value: number, length: number, options?: ZipOptions): Uint8Array {
  const bytes = zip(FILES, options);
  bytes.set(uint(value, length), at < 0 ? bytes.length + at : at);
  return bytes;
}

const sizes = FILES.map(([name, { length }]) => 30 + bytesOfText(name).length + 7 + length);
const central = sizes.reduce((sum, size) => sum + size, 0);

describe("zip files", () => {
  test.each<[string, ZipOptions]>([
    ["plain", {}],
    ["with ZIP64 records", { zip64: true }],
    ["with a comment", { comment: "a comment" }],
    ["with a comment that looks like an end", { comment: "PK\x05\x06".repeat(10) }],
    ["with the greatest comment", { comment: "c".repeat(65_535), zip64: true }],
  ])("%s give their entries", async (_name, options) => {
    expect(await contents(zip(FILES, options))).toEqual(FILES.map(([name, bytes]) => [name, new TextDecoder().decode(bytes)]));
  });

  test("may be empty", async () => {
    expect(await contents(zip([]))).toEqual([]);
  });

  test("are cut short nowhere", async () => {
    const whole = zip(FILES);
    for (let length = 0; length < whole.length; length++) await refusal(whole.slice(0, length));
  });

  test.each<[string, Uint8Array, string]>([
    ["compressed", zip(FILES, { method: 8 }), 'entry "a/data.pkl" must be stored, not compressed; got method 8'],
    ["encrypted", zip(FILES, { flags: 1 }), 'entry "a/data.pkl" must not be encrypted; got flags 1'],
    ["in several pieces", patched(-22 + 4, 1, 2), "must be in one piece; got disk 1"],
    ["with something else in the list", patched(central + 46 + 10, 0, 4), "the list must hold 3 entries; got 1 and something else"],
    ["with more entries than the list has room for", patched(-22 + 10, 4, 2), "the list of 4 entries must lie before byte"],
    ["with 65,535 entries", patched(-22 + 10, 65_535, 2), "the list of 65535 entries must lie before byte"],
    ["whose list lies beyond the end", patched(-22 + 16, 0xfffffff0, 4), "the list of 3 entries must lie before byte"],
    ["whose entry is larger", patched(central + 20, 306, 4), "of 5 bytes must take as many in the file; got 306"],
    ["whose entries overlap", patched(central + 42 + 46 + 10, 10, 4), "where something else begins"],
    ["whose name is not UTF-8", patched(central + 46, 255, 1), "the names of entries must be UTF-8"],
    ["with a name beyond the list", patched(central + 28, 60_000, 2), "the list of entries must end at its byte"],
    ["without a local header", patched(0, 0, 4), 'entry "a/data.pkl" must have a header at byte 0'],
    ["whose local header is longer", patched(28, 200, 2), 'entry "a/data.pkl" must end before byte'],
    ["with an end of 64 bits beyond the end", patched(-22 - 12, 2 ** 50, 8, { zip64: true }), "ZIP64 end record must lie before byte"],
    ["without an end of 64 bits", patched(-22 - 12, 8, 8, { zip64: true }), "there must be a ZIP64 end record at byte 8"],
    ["with 2^60 entries", patched(-22 - 20 - 56 + 32, 2 ** 50, 8, { zip64: true }), "the list of 1125899906842624 entries must lie"],
    ["with the same name twice", zip([FILES[0], FILES[0]]), 'entry "a/data.pkl" must be there once'],
    ["that are text", Uint8Array.from(bytesOfText("x".repeat(100))), "must end with a list of its entries; got none"],
  ])("%s are refused", async (_name, bytes, message) => {
    expect(await refusal(bytes)).toContain(message);
  });
});
