import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { InputError } from "../core/errors.ts";
import { parseJson } from "./captions.ts";
import type { CaptionDataset } from "./dataset.ts";
import { someOf } from "./findings.ts";
import { DiskFolder, reasonOf } from "./folder.ts";
import { decodeImage } from "./image.ts";
import type { DecodeOptions, Image } from "./image.ts";
import { openDatasetIn, type DatasetOptions } from "./open-dataset.ts";
import { tokenizerFromJson, tokenizerFromVocabAndMerges } from "./tokenizer-load.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Reads and decodes a picture.
 * @throws InputError if it is missing, a folder, unreadable, or not a sound JPEG or PNG.
 */
export async function readImage(path: string, options?: DecodeOptions): Promise<Image> {
  return decodeImage(await readBytes(path, "readImage"), path, options);
}

/**
 * Reads a tokeniser from a `tokenizer.json`, or from a folder with one or with `vocab.json` and `merges.txt`.
 * @param endOfText Name of the token that ends a text. Default `<|endoftext|>`.
 * @throws InputError if there are no such files, or if they are not a byte-level BPE as GPT-2's.
 */
export async function readTokenizer(path: string, { endOfText }: { readonly endOfText?: string } = {}): Promise<Tokenizer> {
  const readText = async (file: string): Promise<string> => new TextDecoder().decode(await readBytes(file, "readTokenizer"));
  const fromJson = async (name: string): Promise<Tokenizer> => tokenizerFromJson(parseJson(await readText(name), name), { name, endOfText });
  const folder = await readdir(path).catch(() => undefined);
  if (folder === undefined) return fromJson(path);
  if (folder.includes("tokenizer.json")) return fromJson(join(path, "tokenizer.json"));
  if (!folder.includes("vocab.json") || !folder.includes("merges.txt")) {
    throw new InputError(`readTokenizer: ${path} must hold tokenizer.json, or vocab.json and merges.txt; got ${someOf(folder) || "an empty folder"}`, "check the path");
  }
  const name = join(path, "vocab.json");
  return tokenizerFromVocabAndMerges(parseJson(await readText(name), name), await readText(join(path, "merges.txt")), { name, endOfText });
}

/** {@link openDatasetIn} for a folder on the disk, by its path. */
export async function openDataset(folder: string, options: DatasetOptions = {}): Promise<CaptionDataset> {
  return openDatasetIn(new DiskFolder(folder), options);
}

async function readBytes(path: string, caller: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const got = reasonOf(error);
    throw new InputError(`${caller}: ${path} must be a readable file; got ${got}`, "check the path", { cause: error });
  }
}
