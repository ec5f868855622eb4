/** Which pictures are meant, and their pixels in batches. */

import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileError } from "../checkpoint/files.ts";
import { InputError, SightlineError } from "../core/errors.ts";
import { PICTURE_NAME } from "../data/captions.ts";
import { readImage } from "../data/files.ts";
import { decodeImage, type Image } from "../data/image.ts";
import { preprocess, type Preprocessing } from "../data/preprocess.ts";

/** A picture by its file, or what is wrong with a name that means none. */
export type NamedPicture = { readonly file: string } | { readonly problem: SightlineError };

/** A picture as the model sees it. */
export interface ReadPicture {
  readonly file: string;
  /** [3, size, size] */
  readonly pixels: Float32Array;
}

/** The name of standard input. */
export const STANDARD_INPUT = "-";

/** Pictures that are captioned at a time: more would only fill the memory. */
const AT_A_TIME = 16;

/** Bytes of a picture on standard input; none is larger. */
const MAX_INPUT_BYTES = 2 ** 29;

const PATTERN = /[*?]|\[[^\]]+\]|\{[^{}]*\}/;
const HIDDEN = /(?:^|[/\\])\.[^./\\]/;

/**
 * The pictures that names mean: files, all JPEG and PNG in a folder, patterns such as `photos/*.jpg` that no shell has replaced, and
 * `-` for standard input. Those of a folder and of a pattern are sorted.
 * @param recursive Whether folders in folders count too.
 */
export async function findPictures(names: readonly string[], recursive: boolean): Promise<readonly NamedPicture[]> {
  const found: NamedPicture[] = [];
  for (const name of names) {
    if (name === STANDARD_INPUT && found.some((picture) => "file" in picture && picture.file === STANDARD_INPUT)) {
      found.push({ problem: new InputError("standard input can be read once; got - twice", "leave one of them out") });
      continue;
    }
    try {
      for (const file of await filesOf(name, recursive)) found.push({ file });
    } catch (problem) {
      if (!(problem instanceof SightlineError)) throw problem;
      found.push({ problem });
    }
  }
  return found;
}

async function filesOf(name: string, recursive: boolean): Promise<readonly string[]> {
  if (name === STANDARD_INPUT) return [name];
  if (statSync(name, { throwIfNoEntry: false })?.isDirectory()) return filesIn(name, recursive);
  if (existsSync(name) || !PATTERN.test(name)) return [name];
  const matching = await glob("", (process.platform === "win32" ? name.replaceAll("\\", "/") : name).split("/"));
  if (matching.length === 0) throw new InputError(`${name} must be a file, or a pattern that fits some; got none that fits`, "check the path");
  const lists = await Promise.all(matching.map((path) => filesOf(path, recursive)));
  return lists.flat();
}

async function filesIn(folder: string, recursive: boolean): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive, encoding: "utf8" }).catch((cause: unknown) => {
    throw fileError("read", folder, cause);
  });
  const pictures = names.filter((name) => PICTURE_NAME.test(name) && !HIDDEN.test(name)).toSorted();
  if (pictures.length > 0) return pictures.map((name) => join(folder, name));
  throw new InputError(`${folder} must hold JPEG or PNG pictures; got a folder with none`, recursive ? "check the path" : "look into the folders in it with --recursive");
}

/** Paths below a folder that fit the segments of a pattern; `**` stands for folders of any depth. */
async function glob(folder: string, [segment, ...rest]: readonly string[]): Promise<string[]> {
  const isLast = rest.length === 0;
  if (!PATTERN.test(segment)) {
    const path = folder === "" && segment === "" ? "/" : join(folder, segment);
    return isLast ? (existsSync(path) ? [path] : []) : glob(path, rest);
  }
  const entries = (await readdir(folder === "" ? "." : folder, { withFileTypes: true }).catch(() => [])).filter(({ name }) => segment.startsWith(".") || !HIDDEN.test(name));
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  if (segment === "**" && !isLast) {
    const below = await Promise.all(entries.filter((entry) => entry.isDirectory()).map(({ name }) => glob(join(folder, name), [segment, ...rest])));
    return [...(await glob(folder, rest)), ...below.flat()];
  }
  const expression = segmentExpression(segment);
  const paths = entries.filter(({ name }) => expression.test(name)).map(({ name }) => join(folder, name));
  if (isLast) return paths;
  return (await Promise.all(paths.map((path) => glob(path, rest)))).flat();
}

/** `*`, `?`, `[a-z]`, `[!a-z]` and `{jpg,png}` as a regular expression. */
function segmentExpression(segment: string): RegExp {
  const text = segment.replace(/\[[!^]?[^\]]+\]|\{[^{}]*\}|\*+|\?|[\\^$.+()|[\]{}]/g, (part) => {
    if (part.startsWith("*")) return ".*";
    if (part === "?") return ".";
    if (part.length > 1 && part.startsWith("[")) return part.replace(/^\[[!^]/, "[^").replaceAll("\\", "\\\\");
    if (part.length > 1 && part.startsWith("{")) return `(?:${part.slice(1, -1).split(",").map((name) => name.replace(/[\\^$.*+?()|[\]]/g, "\\$&")).join("|")})`;
    return `\\${part}`;
  });
  try {
    return new RegExp(`^${text}$`, "u");
  } catch {
    return /(?!)/; // a class such as [z-a] fits nothing
  }
}

/**
 * The pictures in batches, as the model sees them; a batch is read while the one before is worked on.
 * @param onProblem Called for each picture that cannot be read.
 */
export async function* pictureBatches(pictures: readonly NamedPicture[], preprocessing: Preprocessing, onProblem: (problem: SightlineError) => void): AsyncGenerator<readonly ReadPicture[]> {
  let next = 0;
  const readBatch = async (): Promise<readonly ReadPicture[]> => {
    const batch: ReadPicture[] = [];
    while (batch.length < AT_A_TIME && next < pictures.length) {
      const picture = pictures[next++];
      try {
        if ("problem" in picture) throw picture.problem;
        const image = picture.file === STANDARD_INPUT ? await readStandardInput() : await readImage(picture.file);
        batch.push({ file: picture.file, pixels: preprocess(image, preprocessing) });
      } catch (error) {
        if (!(error instanceof SightlineError)) throw error;
        onProblem(error);
      }
    }
    return batch;
  };
  for (let coming = readBatch(); ; ) {
    const batch = await coming;
    if (batch.length === 0) return;
    coming = readBatch();
    coming.catch(() => undefined); // thrown where it is awaited, unless the work on this batch fails before
    yield batch;
  }
}

async function readStandardInput(): Promise<Image> {
  if (process.stdin.isTTY) throw new InputError("standard input must be a picture; got a terminal", "send one: sightline caption - < picture.jpg");
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_INPUT_BYTES) throw new InputError(`standard input must be a picture of at most ${MAX_INPUT_BYTES} bytes; got more`, "send one picture");
    chunks.push(chunk);
  }
  return decodeImage(Buffer.concat(chunks), "standard input");
}
