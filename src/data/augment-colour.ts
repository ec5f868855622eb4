/** Changes of colour as torchvision makes them on PIL pictures, bit for bit: tested against Pillow 9.4. */

import type { Image } from "./image.ts";

/** Which of most, least, falling and rising value red, green and blue have in each sixth of the colour circle. */
const SECTORS = [
  [0, 3, 1],
  [2, 0, 1],
  [1, 0, 3],
  [1, 2, 0],
  [3, 1, 0],
  [0, 1, 2],
] as const;

/** out = black + factor · (picture − black). Source: Pillow, ImageEnhance.Brightness. */
export function adjustBrightness(image: Image, factor: number): Image {
  return blended(image, factor, () => 0);
}

/** out = grey + factor · (picture − grey), grey the picture's mean lightness, a whole number. Source: Pillow, ImageEnhance.Contrast. */
export function adjustContrast(image: Image, factor: number): Image {
  let sum = 0;
  for (let i = 0; i < image.data.length; i += 3) sum += lightness(image.data, i);
  const mean = Math.floor(sum / (image.data.length / 3) + 0.5);
  return blended(image, factor, () => mean);
}

/** out = grey + factor · (picture − grey), grey each pixel's own lightness. Source: Pillow, ImageEnhance.Color. */
export function adjustSaturation(image: Image, factor: number): Image {
  return blended(image, factor, (at) => lightness(image.data, at));
}

/**
 * Turns the hue by `turn` · 255 of 256 steps, cut towards 0, with hue, saturation and value of 8 bits each.
 *
 * A turn of 0 leaves the picture alone, where torchvision's way through 8 bits changes values by a few levels.
 * @param turn −0.5 to 0.5 of the colour circle.
 * Source: torchvision, functional_pil.adjust_hue; Pillow, Convert.c; both colour models as in Python's colorsys.
 */
export function adjustHue(image: Image, turn: number): Image {
  if (turn === 0) return image;
  const steps = Math.trunc(turn * 255);
  const data = new Uint8Array(image.data.length);
  for (let i = 0; i < data.length; i += 3) turnHue(image.data, i, steps, data);
  return { ...image, data };
}

/** ITU-R 601-2 with 16 fraction bits, as Pillow's `convert("L")`. */
function lightness(data: Uint8Array, at: number): number {
  return (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
}

/** from + factor · (picture − from) in f32, clipped and cut to whole numbers. @param from Of the pixel whose red stands at an index. */
function blended(image: Image, factor: number, from: (at: number) => number): Image {
  if (factor === 1) return image;
  const factor32 = Math.fround(factor);
  const data = new Uint8Array(image.data.length);
  for (let at = 0; at < data.length; at += 3) {
    const base = from(at);
    for (let i = at; i < at + 3; i++) {
      const value = Math.fround(base + Math.fround(factor32 * (image.data[i] - base)));
      data[i] = value <= 0 ? 0 : value >= 255 ? 255 : value;
    }
  }
  return { ...image, data };
}

function turnHue(from: Uint8Array, at: number, steps: number, to: Uint8Array): void {
  const { fround } = Math;
  const [red, green, blue] = [from[at], from[at + 1], from[at + 2]];
  const most = Math.max(red, green, blue);
  const spread = most - Math.min(red, green, blue);
  if (spread === 0) {
    to.fill(most, at, at + 3);
    return;
  }
  const [r, g, b] = [fround((most - red) / spread), fround((most - green) / spread), fround((most - blue) / spread)];
  const sixths = fround(red === most ? fround(b - g) : green === most ? 2 + r - b : 4 + g - r);
  const hue = (Math.trunc(fround((sixths / 6 + 1) % 1) * 255) + steps) & 255;
  const saturation = Math.trunc(fround(spread / most) * 255);
  if (saturation === 0) {
    to.fill(most, at, at + 3);
    return;
  }
  const sector = Math.floor((hue * 6) / 255);
  const rest = fround((hue * 6) / 255 - sector);
  const share = fround(saturation / 255);
  const parts = [most, Math.round(most * (1 - share)), Math.round(most * (1 - share * rest)), Math.round(most * (1 - share * (1 - rest)))];
  const order = SECTORS[sector % 6];
  for (let channel = 0; channel < 3; channel++) to[at + channel] = parts[order[channel]];
}
