import { decodeImage } from "../../src/data/image.ts";
import { preprocess, PREPROCESSING, squash, type Preprocessing } from "../../src/data/preprocess.ts";

/** One of each kind, small. */
const PRESETS: readonly Preprocessing[] = [
  squash(32),
  { ...PREPROCESSING.timmVit, size: 32, shortSide: 36 },
  { ...PREPROCESSING.fasterRcnn, size: 32, longSide: 53 },
];

/** SHA-256 of each picture's pixels and of its model inputs, one behind the other: the same code in Node and in a browser. */
export async function decodedImages(images: readonly { readonly name: string; readonly bytes: Uint8Array }[]): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  for (const { name, bytes } of images) {
    const image = decodeImage(bytes, name);
    const parts = [Uint8Array.from(image.data), ...PRESETS.map((preset) => Float32Array.from(preprocess(image, preset)))];
    const digest = await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer());
    digests[name] = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
  return digests;
}

/** The same of pictures that the page's server has. */
export async function fetchedImages(names: readonly string[]): Promise<Record<string, string>> {
  return decodedImages(await Promise.all(names.map(async (name) => ({ name, bytes: new Uint8Array(await (await fetch(`/${name}`)).arrayBuffer()) }))));
}
