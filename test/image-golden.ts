import { readFileSync } from "node:fs";
import type { Image } from "../src/data/image.ts";

const FOLDER = new URL("golden/images/", import.meta.url);

/** A picture of `test/golden/images`, and the pixels that Pillow reads from it. */
export interface GoldenImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly expected: Image;
}

export function goldenImages(): GoldenImage[] {
  const index = JSON.parse(readFileSync(new URL("pixels.json", FOLDER), "utf8")) as Record<string, { width: number; height: number; offset: number }>;
  const pixels = new Uint8Array(readFileSync(new URL("pixels.bin", FOLDER)));
  return Object.entries(index).map(([name, { width, height, offset }]) => ({
    name,
    bytes: new Uint8Array(readFileSync(new URL(name, FOLDER))),
    expected: { width, height, data: pixels.slice(offset, offset + width * height * 3) },
  }));
}
