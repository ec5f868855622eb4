import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { InputError, ShapeError } from "../src/core/errors.ts";
import type { DeviceGenerator } from "../src/autograd/random.ts";
import type { CaptionModel } from "../src/caption/caption-model.ts";
import { Captioner } from "../src/caption/captioner.ts";
import type { ModelConfig } from "../src/caption/systems.ts";
import type { Image } from "../src/data/image.ts";
import { sceneSource } from "../src/data/pictures.ts";
import { fit, parsePreprocessing, preprocess, PREPROCESSING, squash } from "../src/data/preprocess.ts";
import { resize } from "../src/data/resize.ts";
import { Vocabulary } from "../src/data/vocabulary.ts";

/** A picture with every level and sharp edges, made the same way for Pillow. */
function pattern(width: number, height: number): Image {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => ((i * i * 7 + i * 37 + 11) >> 2) % 256);
  return { width, height, data };
}

// Image.frombytes("RGB", (5, 4), pattern).resize(…) of Pillow 9.4.0.
const PILLOW = [
  {
    filter: "bilinear",
    width: 3,
    height: 2,
    data: [71, 61, 96, 159, 78, 131, 193, 85, 175, 115, 78, 154, 148, 105, 114, 168, 80, 205],
  },
  {
    filter: "bicubic",
    width: 3,
    height: 2,
    data: [64, 61, 92, 166, 73, 131, 197, 86, 174, 115, 78, 158, 151, 109, 110, 167, 81, 208],
  },
  {
    filter: "bilinear",
    width: 7,
    height: 5,
    data: [
      2, 13, 28, 27, 44, 65, 67, 92, 119, 121, 153, 188, 197, 54, 97, 176, 77, 128, 109, 162, 219, 17, 64, 116, 105, 56, 113,
      172, 54, 118, 176, 66, 138, 203, 46, 126, 210, 71, 159, 206, 116, 210, 43, 133, 98, 130, 79, 124, 174, 58, 128, 122, 105,
      91, 184, 83, 168, 205, 74, 204, 199, 75, 210, 81, 136, 91, 122, 81, 145, 132, 73, 148, 79, 155, 55, 176, 131, 167, 177,
      88, 216, 126, 44, 221, 122, 35, 207, 124, 43, 221, 136, 62, 175, 162, 95, 32, 210, 151, 95, 161, 110, 171, 71, 26, 240,
    ],
  },
  {
    filter: "bicubic",
    width: 7,
    height: 5,
    data: [
      0, 7, 18, 17, 36, 54, 57, 99, 124, 118, 158, 191, 212, 39, 80, 180, 70, 120, 96, 174, 229, 5, 60, 127, 105, 53, 114, 192,
      50, 115, 189, 53, 141, 207, 33, 115, 216, 70, 154, 216, 124, 214, 31, 153, 93, 140, 80, 124, 196, 45, 127, 119, 102, 89,
      182, 81, 181, 215, 70, 218, 213, 72, 207, 79, 151, 74, 126, 77, 149, 130, 64, 158, 65, 167, 52, 183, 144, 177, 183, 85,
      233, 116, 36, 221, 125, 27, 213, 122, 38, 239, 133, 59, 185, 167, 91, 31, 227, 168, 79, 163, 115, 176, 58, 16, 249,
    ],
  },
] as const;

// The first 16 hexadecimal digits of the sha256 of Pillow's pixels.
const PILLOW_DIGESTS = [
  [101, 67, 224, 224, "7c13298baec4947f", "5c582d80ddf71fb4"],
  [301, 199, 224, 224, "6c4e776dcdbd0699", "317a825992ffe6e7"],
  [64, 48, 64, 7, "a8f78ce9723228b0", "1d3805ff7961ea12"],
  [2, 3, 50, 1, "25b8f964b09d2a37", "2fb1c6381b501244"],
  [1, 1, 4, 4, "adbd8e74f790ae4c", "adbd8e74f790ae4c"],
] as const;

describe("resize", () => {
  test.each(PILLOW)("$filter to $width×$height is Pillow's, bit for bit", ({ filter, width, height, data }) => {
    expect(Array.from(resize(pattern(5, 4), width, height, filter).data)).toEqual(data);
  });

  test.each(PILLOW_DIGESTS)("%i×%i to %i×%i is Pillow's, bit for bit", (fromWidth, fromHeight, width, height, bilinear, bicubic) => {
    const digest = (filter: "bilinear" | "bicubic"): string => {
      const { data } = resize(pattern(fromWidth, fromHeight), width, height, filter);
      return createHash("sha256").update(data).digest("hex").slice(0, 16);
    };
    expect([digest("bilinear"), digest("bicubic")]).toEqual([bilinear, bicubic]);
  });

  test("keeps a picture of the right size as it is", () => {
    expect(resize(pattern(5, 4), 5, 4, "bicubic")).toEqual(pattern(5, 4));
  });

  test.each([
    [0, 4],
    [4, -1],
    [2.5, 4],
    [Number.NaN, 4],
  ])("refuses %d×%d", (width, height) => {
    expect(() => resize(pattern(5, 4), width, height, "bilinear")).toThrow(ShapeError);
  });
});

describe("a window of a resized picture", () => {
  test.each([
    ["smaller", 20, 9],
    ["larger", 50, 70],
    ["of the same width", 31, 12],
    ["of the same size", 31, 23],
  ])("has its pixels: %s", (_, width, height) => {
    for (const filter of ["bilinear", "bicubic"] as const) {
      const whole = resize(pattern(31, 23), width, height, filter);
      const window = { left: 3, top: 2, width: width - 7, height: height - 6 };
      const expected = Array.from({ length: window.height }, (_row, y) => Array.from(whole.data.subarray(((2 + y) * width + 3) * 3, ((2 + y) * width + width - 4) * 3)));
      expect(resize(pattern(31, 23), width, height, filter, window)).toEqual({ width: width - 7, height: height - 6, data: Uint8Array.from(expected.flat()) });
    }
  });
});

describe("preprocess", () => {
  test("gives planes of (v / 255 − mean) / std", () => {
    const image: Image = { width: 1, height: 1, data: Uint8Array.from([0, 51, 255]) };
    const planes = preprocess(image, { ...PREPROCESSING.imagenetSquash, size: 2 });
    const [red, green, blue] = [(0 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (1 - 0.406) / 0.225];
    expect(planes).toHaveLength(12);
    // Three f32 roundings.
    const expected = [red, red, red, red, green, green, green, green, blue, blue, blue, blue];
    for (const [i, value] of expected.entries()) expect(planes[i]).toBeCloseTo(value, 6);
    expect(preprocess(image, squash(1))).toEqual(Float32Array.from([-1, (Math.fround(0.2) - 0.5) / 0.5, 1]));
    expect(preprocess(image, { ...PREPROCESSING.unitSquash, size: 1 })).toEqual(Float32Array.from([0, 0.2, 1]));
  });

  test("squashes without a crop", () => {
    const image = pattern(30, 20);
    expect(fit(image, squash(8))).toEqual(resize(image, 8, 8, "bilinear"));
  });

  // Rounding to even, as Python does: (9 − 6) / 2 = 1.5 → 2, (7 − 6) / 2 = 0.5 → 0, (11 − 6) / 2 = 2.5 → 2.
  test.each([
    [27, 18, 6, 9, 6, 2],
    [22, 18, 6, 7, 6, 0],
    [34, 18, 6, 11, 6, 2],
  ])("crops the centre of %i×%i", (width, height, shortSide, scaledWidth, size, left) => {
    const crop = { ...PREPROCESSING.timmVit, size, shortSide };
    for (const portrait of [false, true]) {
      const image = portrait ? pattern(height, width) : pattern(width, height);
      const [across, down] = portrait ? [shortSide, scaledWidth] : [scaledWidth, shortSide];
      const scaled = resize(image, across, down, "bicubic");
      const expected: number[] = [];
      for (let i = 0; i < size * size; i++) {
        const [x, y] = [i % size, Math.floor(i / size)];
        const from = portrait ? ((y + left) * shortSide + x) * 3 : (y * scaledWidth + x + left) * 3;
        expected.push(...scaled.data.subarray(from, from + 3));
      }
      expect(Array.from(fit(image, crop).data)).toEqual(expected);
    }
  });

  test.each([
    [1, 60_000],
    [60_000, 1],
  ])("crops a line of %i×%i without scaling it whole, which would take 12 GB", (width, height) => {
    const { data, ...size } = fit(pattern(width, height), PREPROCESSING.imagenetV1);
    expect(size).toEqual({ width: 224, height: 224 });
    expect(new Set(data).size).toBeGreaterThan(100);
  });

  // Sizes that torchvision 0.14's GeneralizedRCNNTransform(800, 1333) gives.
  test.each([
    [640, 480, 1066, 800],
    [480, 640, 800, 1066],
    [500, 375, 1066, 799],
    [333, 500, 799, 1201],
    [1000, 100, 1333, 133],
    [101, 67, 1205, 799],
    [800, 1333, 800, 1333],
    [3, 5, 799, 1333],
    [427, 640, 799, 1199],
  ])("keeps the shape of %i×%i within 800 and 1333: %i×%i", (width, height, keptWidth, keptHeight) => {
    const blank: Image = { width, height, data: new Uint8Array(width * height * 3) };
    const kept = fit(blank, PREPROCESSING.fasterRcnn);
    expect([kept.width, kept.height]).toEqual([keptWidth, keptHeight]);
  });

  test("keeps the shape without a limit, and makes planes of it", () => {
    const kept = { ...squash(4), resize: "keep" } as const;
    expect(fit(pattern(12, 6), kept)).toEqual(resize(pattern(12, 6), 8, 4, "bilinear"));
    expect(preprocess(pattern(12, 6), kept)).toHaveLength(3 * 8 * 4);
    expect(fit(pattern(1, 2048), { ...kept, longSide: 6 })).toMatchObject({ width: 1, height: 6 });
  });

  test("travels through JSON", () => {
    for (const preset of Object.values(PREPROCESSING)) {
      expect(parsePreprocessing(JSON.parse(JSON.stringify(preset)))).toEqual(preset);
    }
  });

  test("names the file it was read from", () => {
    expect(() => parsePreprocessing({}, "best.safetensors")).toThrow("parsePreprocessing: size of best.safetensors must be a whole number of pixels, at most 8192; got undefined");
  });

  test("pictures that keep their shape are refused where batches are made", () => {
    expect(() => sceneSource(1, { train: 1, validation: 1, test: 1 }, PREPROCESSING.fasterRcnn)).toThrow('sceneSource: pictures must be resized to one size, by "squash" or "crop"; got "keep"');
    const config = { model: {} as ModelConfig, maxLength: 3 };
    expect(() => new Captioner({} as CaptionModel, config, new Vocabulary(["<pad>", "<start>", "<end>", "<unk>"]), PREPROCESSING.fasterRcnn, {} as DeviceGenerator)).toThrow('Captioner: pictures must be resized to one size, by "squash" or "crop"; got "keep"');
  });

  test.each([
    ["size", { ...squash(224), size: 0 }],
    ["resize", { ...squash(224), resize: "stretch" }],
    ["shortSide", { ...PREPROCESSING.imagenetV1, shortSide: 200 }],
    ["longSide", { ...PREPROCESSING.fasterRcnn, longSide: 700 }],
    ["filter", { ...squash(224), filter: "nearest" }],
    ["mean", { ...squash(224), mean: [0.5, 0.5] }],
    ["std", { ...squash(224), std: [0.5, 0, 0.5] }],
    ["size", null],
  ])("names the field at fault: %s", (field, value) => {
    expect(() => parsePreprocessing(value)).toThrow(InputError);
    expect(() => parsePreprocessing(value)).toThrow(`parsePreprocessing: ${field} must be`);
  });
});
