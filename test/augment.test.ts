import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";
import { augment, drawWindow } from "../src/data/augment.ts";
import { NO_AUGMENTATION, parseAugmentation, type Augmentation } from "../src/data/augmentation.ts";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "../src/data/augment-colour.ts";
import { shiftScaleRotate } from "../src/data/augment-geometry.ts";
import type { Image } from "../src/data/image.ts";

/** A picture with every level and sharp edges, made the same way for Pillow: `Image.frombytes("RGB", (width, height), pattern)`. */
function pattern(width: number, height: number): Image {
  return { width, height, data: Uint8Array.from({ length: width * height * 3 }, (_, i) => ((i * i * 7 + i * 37 + 11) >> 2) % 256) };
}

/** The first 16 hexadecimal digits of the sha256 of the pixels. */
function digest({ data }: Image): string {
  return createHash("sha256").update(data).digest("hex").slice(0, 16);
}

const PICTURE = pattern(13, 9);
const UNTOUCHED = "ef000f7da3cd4e2f";
const KEYS = { seed: 7, epoch: 3, index: 0 };

const EVERYTHING: Augmentation = {
  flip: 0.5,
  crop: { kind: "resized", scale: [0.5, 1], ratio: [0.75, 4 / 3] },
  brightness: [0.8, 1.2],
  contrast: [0.8, 1.2],
  saturation: [0.8, 1.2],
  hue: [-0.1, 0.1],
  shiftScaleRotate: { shift: 0.0625, scale: 0.1, rotate: 15, probability: 0.8, border: "reflect" },
};

describe("colours", () => {
  // torchvision.transforms.functional.adjust_* of torchvision 0.14.1 on Pillow 9.4.0.
  test.each([
    [adjustBrightness, [[0, "d6d5d3d99e18dc14"], [0.4, "816b5215145916fa"], [0.73, "481d0fb53586ca02"], [1, UNTOUCHED], [1.6, "6a0b3568fcbbe6d8"]]],
    [adjustContrast, [[0, "fde8b994b73d6934"], [0.4, "3fd47c85f9f9052c"], [0.73, "20a43e7370c0869a"], [1, UNTOUCHED], [1.6, "d0f5af548d3a4245"]]],
    [adjustSaturation, [[0, "a44e8d4093dd3643"], [0.4, "4297f49eb81944e7"], [0.73, "99bb2753b3db54ff"], [1, UNTOUCHED], [1.6, "9b29594fba64a98c"]]],
    [adjustHue, [[-0.5, "821afa0a3985bbe6"], [-0.23, "ebb4b7c649e0c174"], [0.1, "7b111c824521b54d"], [0.37, "9a809874f07a1e66"], [0.5, "1308a5dbf6f1811f"]]],
  ] as const)("%o gives torchvision's pixels, bit for bit", (adjust, cases) => {
    for (const [factor, expected] of cases) expect([factor, digest(adjust(PICTURE, factor))]).toEqual([factor, expected]);
  });

  test("a hue that is turned by nothing stays, as do greys under any turn", () => {
    expect(adjustHue(PICTURE, 0)).toBe(PICTURE);
    const greys: Image = { width: 3, height: 1, data: Uint8Array.of(0, 0, 0, 100, 100, 100, 255, 255, 255) };
    expect(adjustHue(greys, 0.3).data).toEqual(greys.data);
  });
});

describe("shiftScaleRotate", () => {
  const moves = [
    { angle: 30, scale: 1.1, dx: 0.05, dy: -0.06 },
    { angle: -17, scale: 0.8, dx: 0, dy: 0 },
    { angle: 0, scale: 1, dx: 0.25, dy: 0 },
    { angle: 90, scale: 1, dx: 0, dy: 0 },
  ];

  test("mirrored outside: numpy.pad(mode='reflect') and bilinear weights in float64", () => {
    const numpy = ["802de086a8d98b2d", "fc7c205f007a1a6d", "6a1e22a62dbfc0d8", "0fbd976a65382191"];
    expect(moves.map((move) => digest(shiftScaleRotate(PICTURE, move, "reflect")))).toEqual(numpy);
  });

  test("black outside: Pillow's Image.transform(AFFINE, BILINEAR), which cuts off where we round", () => {
    const pillow = [
      [0, 0, 0, 90, 117, 148, 177, 75, 135, 213, 52, 145, 217, 82, 206, 37, 42, 75, 175, 50, 114, 174, 55, 109, 177, 93, 175, 177, 78, 227, 25, 91, 146, 145, 69, 128, 111, 101, 118, 124, 140, 87, 220, 158, 140, 0, 0, 0, 97, 114, 112, 135, 46, 213, 154, 85, 72, 0, 0, 0],
      [0, 0, 0, 17, 30, 51, 79, 105, 135, 0, 0, 0, 0, 0, 0, 0, 0, 0, 142, 67, 128, 194, 41, 122, 216, 32, 107, 132, 150, 216, 111, 59, 178, 146, 42, 195, 83, 159, 94, 196, 77, 218, 0, 0, 0, 0, 0, 0, 0, 0, 0, 198, 137, 80, 115, 63, 210, 0, 0, 0],
    ];
    for (const [i, expected] of pillow.entries()) {
      const { data } = shiftScaleRotate(pattern(5, 4), moves[i], "black");
      for (const [at, level] of expected.entries()) expect([0, 1]).toContain(data[at] - level);
    }
  });

  test("no move changes nothing; a quarter turn of a square goes counter-clockwise; one pixel stays one", () => {
    expect(shiftScaleRotate(PICTURE, { angle: 0, scale: 1, dx: 0, dy: 0 }, "reflect").data).toEqual(PICTURE.data);
    const corners: Image = { width: 2, height: 2, data: Uint8Array.of(1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4) };
    expect([...shiftScaleRotate(corners, { angle: 90, scale: 1, dx: 0, dy: 0 }, "black").data].filter((_, i) => i % 3 === 0)).toEqual([2, 4, 1, 3]);
    const dot: Image = { width: 1, height: 1, data: Uint8Array.of(9, 8, 7) };
    expect(shiftScaleRotate(dot, moves[0], "reflect").data).toEqual(dot.data);
  });
});

describe("crops", () => {
  // functional.resized_crop and functional.crop of torchvision 0.14.1 with the windows that are drawn here.
  test.each([
    [0, "03bf2c8bd2cce316", "15cf16c9706fb013"],
    [1, "fa7abdfe9d7a39a7", "02033d61f3f1ec91"],
    [2, "308eb7316483c57b", "c71e89764d8e4aa3"],
  ])("of picture %i have torchvision's pixels", (index, resized, window) => {
    const keys = { ...KEYS, index };
    expect(digest(augment(PICTURE, { ...NO_AUGMENTATION, crop: { kind: "resized", scale: [0.2, 0.9], ratio: [0.75, 4 / 3] } }, keys))).toBe(resized);
    expect(digest(augment(PICTURE, { ...NO_AUGMENTATION, crop: { kind: "window", resize: 256, crop: 224 } }, keys))).toBe(window);
  });

  test("windows keep to their ranges of area and shape, and lie everywhere", () => {
    const windows = Array.from({ length: 500 }, (_, i) => drawWindow(200, 100, { scale: [0.1, 0.5], ratio: [0.75, 4 / 3] }, new Generator(1, i)));
    const areas = windows.map(({ width, height }) => (width * height) / 20_000);
    const shapes = windows.map(({ width, height }) => width / height);
    expect([Math.min(...areas) > 0.095, Math.max(...areas) < 0.505]).toEqual([true, true]);
    expect([Math.min(...shapes) > 0.73, Math.max(...shapes) < 1.36]).toEqual([true, true]);
    expect(areas.reduce((sum, area) => sum + area) / 500).toBeCloseTo(0.3, 1);
    expect(windows.every(({ left, top, width, height }) => left >= 0 && top >= 0 && left + width <= 200 && top + height <= 100)).toBe(true);
    expect([windows.some(({ left }) => left === 0), windows.some(({ left, width }) => left + width > 195)]).toEqual([true, true]);
  });

  test("where no window fits, the largest of an allowed shape in the middle is taken", () => {
    const whole = { scale: [1, 1], ratio: [1, 1] } as const;
    expect(drawWindow(30, 10, whole, new Generator(1))).toEqual({ left: 10, top: 0, width: 10, height: 10 });
    expect(drawWindow(10, 30, whole, new Generator(1))).toEqual({ left: 0, top: 10, width: 10, height: 10 });
    expect(drawWindow(10, 10, { scale: [1, 1], ratio: [4, 5] }, new Generator(1))).toEqual({ left: 0, top: 3, width: 10, height: 3 });
    expect(drawWindow(1, 1, { scale: [0.01, 0.02], ratio: [1, 1] }, new Generator(1))).toEqual({ left: 0, top: 0, width: 1, height: 1 });
  });
});

describe("augment", () => {
  test("is a function of its arguments: same keys, same pixels; any other key, other ones", () => {
    const before = digest(PICTURE);
    const first = digest(augment(PICTURE, EVERYTHING, KEYS));
    expect(digest(augment(PICTURE, EVERYTHING, KEYS))).toBe(first);
    expect(digest(PICTURE)).toBe(before);
    const others = [{ ...KEYS, seed: 8 }, { ...KEYS, epoch: 4 }, { ...KEYS, index: 1 }].map((keys) => digest(augment(PICTURE, EVERYTHING, keys)));
    expect(new Set([first, ...others]).size).toBe(4);
  });

  test("keeps the size, and leaves a picture alone where nothing is asked for", () => {
    expect(augment(PICTURE, NO_AUGMENTATION, KEYS)).toEqual(PICTURE);
    for (let index = 0; index < 20; index++) {
      const { width, height, data } = augment(PICTURE, EVERYTHING, { ...KEYS, index });
      expect([width, height, data.length]).toEqual([13, 9, 13 * 9 * 3]);
    }
  });

  test("flips as often as asked, left to right", () => {
    const row: Image = { width: 3, height: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) };
    const flipped = (flip: number): number => Array.from({ length: 1000 }, (_, index) => augment(row, { ...NO_AUGMENTATION, flip }, { ...KEYS, index })).filter(({ data }) => data[0] === 7).length;
    expect(augment(row, { ...NO_AUGMENTATION, flip: 1 }, KEYS).data).toEqual(Uint8Array.of(7, 8, 9, 4, 5, 6, 1, 2, 3));
    expect([flipped(0), flipped(1)]).toEqual([0, 1000]);
    expect(Math.abs(flipped(0.3) - 300)).toBeLessThan(60); // four standard deviations
  });

  test("one setting leaves the draws of the others alone", () => {
    const dark = { ...NO_AUGMENTATION, brightness: [0.5, 0.9] } as const;
    const alone = augment(PICTURE, dark, KEYS);
    const flippedToo = augment(PICTURE, { ...dark, flip: 1 }, KEYS);
    expect(augment(flippedToo, { ...NO_AUGMENTATION, flip: 1 }, KEYS).data).toEqual(alone.data);
  });
});

describe("parseAugmentation", () => {
  test("reads what JSON holds, and fills in what is left out", () => {
    expect(parseAugmentation(JSON.parse(JSON.stringify(EVERYTHING)))).toEqual(EVERYTHING);
    expect(parseAugmentation({ flip: 0.5 })).toEqual({ ...NO_AUGMENTATION, flip: 0.5 });
    const crop = { kind: "window", resize: 256, crop: 224 };
    expect(parseAugmentation({ crop }).crop).toEqual(crop);
  });

  test.each<[unknown, string]>([
    [null, "augment must be an object; got null"],
    [[], "augment must be an object; got []"],
    [{ flp: 1 }, 'augment may have the fields flip, crop, brightness, contrast, saturation, hue, shiftScaleRotate; got "flp" (did you mean flip?)'],
    [{ flip: 2 }, "augment.flip must be a number from 0 to 1; got 2"],
    [{ flip: Number.NaN }, "augment.flip must be a number from 0 to 1"],
    [{ brightness: 0.4 }, "augment.brightness must be a list of 2; got 0.4"],
    [{ contrast: [1.2, 0.8] }, "augment.contrast must be two numbers, the lower first; got [1.2,0.8]"],
    [{ saturation: [1, 11] }, "augment.saturation[1] must be a number from 0 to 10; got 11"],
    [{ hue: [-0.6, 0] }, "augment.hue[0] must be a number from -0.5 to 0.5; got -0.6"],
    [{ crop: { kind: "centre" } }, 'augment.crop.kind must be one of "resized", "window"; got "centre"'],
    [{ crop: { kind: "resized", scale: [0, 1], ratio: [1, 1] } }, "augment.crop.scale[0] must be a number from 0.001 to 1; got 0"],
    [{ crop: { kind: "resized", scale: [0.5, 1] } }, "augment.crop.ratio must be a list of 2; got nothing"],
    [{ crop: { kind: "window", resize: 200, crop: 224 } }, "augment.crop.resize must be a number from 224, which is augment.crop.crop, to 896; got 200"],
    [{ crop: { kind: "window", resize: 1e300, crop: 1 } }, "augment.crop.resize must be a number from 1"],
    [{ crop: { kind: "window", resize: 256, crop: 224, scale: [1, 1] } }, 'augment.crop may have the fields kind, resize, crop; got "scale"'],
    [{ shiftScaleRotate: { shift: 0.1, scale: 1, rotate: 10, probability: 1, border: "black" } }, "augment.shiftScaleRotate.scale must be a number from 0 to 0.9; got 1"],
    [{ shiftScaleRotate: { shift: 0.1, scale: 0.1, rotate: 10, probability: 1, border: "wrap" } }, 'augment.shiftScaleRotate.border must be one of "reflect", "black"; got "wrap"'],
  ])("refuses %j, naming the field", (value, message) => {
    expect(() => parseAugmentation(value, "augment")).toThrow(message);
    expect(() => parseAugmentation(value, "augment")).toThrow(InputError);
  });
});
