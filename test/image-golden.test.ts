import { expect, test } from "vitest";
import { decodeImage } from "../src/data/image.ts";
import { goldenImages } from "./image-golden.ts";

const images = goldenImages();

// Pixels are compared for equality: the decoders do the same integer arithmetic as libjpeg-turbo and Pillow.
test.each(images)("$name has Pillow's pixels", ({ name, bytes, expected }) => {
  expect(decodeImage(bytes, name)).toEqual(expected);
});

test("every kind of picture is among them", () => {
  const names = images.map(({ name }) => name).join();
  const jpegs = ["444", "422", "420", "411", "440", "grey", "rgb", "cmyk", "ycck", "progressive", "restarts"];
  const depths = { 0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16] };
  const pngs = Object.entries(depths).flatMap(([type, bits]) => bits.flatMap((depth) => [`type${type}-${depth}bit.png`, `type${type}-${depth}bit-interlaced.png`]));
  expect([...jpegs, ...pngs].filter((kind) => !names.includes(kind))).toEqual([]);
});
