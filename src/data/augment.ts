import { Generator, threefry } from "../core/rng.ts";
import { adjustBrightness, adjustContrast, adjustHue, adjustSaturation } from "./augment-colour.ts";
import { shiftScaleRotate } from "./augment-geometry.ts";
import type { Augmentation, Range, ResizedCrop, ShiftScaleRotate, WindowCrop } from "./augmentation.ts";
import type { Image } from "./image.ts";
import { orient } from "./orientation.ts";
import { resize } from "./resize.ts";

/** What augmentation depends on beside the picture: nothing else, so a resumed run sees the same pictures. */
export interface AugmentationKeys {
  readonly seed: number;
  readonly epoch: number;
  /** Of the picture in its set. */
  readonly index: number;
}

/** Separates augmentation from every other use of the same seed. */
const AUGMENTATION_STREAM = 0xa096;
const CROP_TRIALS = 10; // as torchvision: then the largest window of an allowed shape is taken

/**
 * A training picture changed by chance: crop, flip, shift-scale-rotate, brightness, contrast, saturation, hue, in this order.
 *
 * image [height, width, 3] → the same size, 8 bits after every step. A function of its arguments alone: each step draws from a
 * sequence of its own, of (seed, epoch, index), so that changing one setting leaves the draws of the others alone.
 * Source: the definitions are torchvision's (RandomResizedCrop, ColorJitter on PIL pictures) and albumentations' (ShiftScaleRotate); the
 * draws are our own.
 */
export function augment(image: Image, settings: Augmentation, { seed, epoch, index }: AugmentationKeys): Image {
  const [key, stream] = threefry(seed, AUGMENTATION_STREAM, epoch, index);
  const draws = (step: number): Generator => new Generator(key, stream ^ step);
  const within = ([low, high]: Range, step: number): number => low + (high - low) * draws(step).uniform();
  const { crop, shiftScaleRotate: move } = settings;
  let result = image;
  if (crop !== null) result = crop.kind === "resized" ? resizedCrop(result, crop, draws(1)) : windowCrop(result, crop, draws(1));
  if (draws(2).uniform() < settings.flip) result = mirror(result);
  if (move !== null) result = moved(result, move, draws(3));
  result = adjustBrightness(result, within(settings.brightness, 4));
  result = adjustContrast(result, within(settings.contrast, 5));
  result = adjustSaturation(result, within(settings.saturation, 6));
  return adjustHue(result, within(settings.hue, 7));
}

/** A picture mirrored: left and right swap. */
function mirror(image: Image): Image {
  return orient(image, 2); // EXIF's number of a mirrored picture
}

function resizedCrop(image: Image, crop: ResizedCrop, random: Generator): Image {
  const { left, top, width, height } = drawWindow(image.width, image.height, crop, random);
  return resize(cut(image, left, top, width, height), image.width, image.height, "bilinear");
}

/**
 * The window of a resized crop: area and ratio (on a logarithmic scale) are drawn until the window fits, at most ten times; then the
 * largest window in the middle whose ratio is allowed.
 * Source: torchvision, RandomResizedCrop.get_params.
 */
export function drawWindow(width: number, height: number, { scale, ratio }: Pick<ResizedCrop, "scale" | "ratio">, random: Generator): { left: number; top: number; width: number; height: number } {
  const uniform = (low: number, high: number): number => low + (high - low) * random.uniform();
  for (let trial = 0; trial < CROP_TRIALS; trial++) {
    const area = width * height * uniform(...scale);
    const shape = Math.exp(uniform(Math.log(ratio[0]), Math.log(ratio[1])));
    const [w, h] = [Math.round(Math.sqrt(area * shape)), Math.round(Math.sqrt(area / shape))];
    if (w >= 1 && h >= 1 && w <= width && h <= height) return { left: random.integer(width - w + 1), top: random.integer(height - h + 1), width: w, height: h };
  }
  const shape = Math.min(ratio[1], Math.max(ratio[0], width / height));
  const w = Math.max(1, Math.min(width, Math.round(height * shape)));
  const h = Math.max(1, Math.min(height, Math.round(width / shape)));
  return { left: Math.floor((width - w) / 2), top: Math.floor((height - h) / 2), width: w, height: h };
}

function windowCrop(image: Image, crop: WindowCrop, random: Generator): Image {
  const { width, height } = image;
  const scaled = (length: number): number => Math.round((length * crop.resize) / crop.crop);
  const [across, down] = [scaled(width), scaled(height)];
  return resize(image, across, down, "bilinear", { left: random.integer(across - width + 1), top: random.integer(down - height + 1), width, height });
}

function moved(image: Image, { shift, scale, rotate, probability, border }: ShiftScaleRotate, random: Generator): Image {
  const evenly = (limit: number): number => limit * (2 * random.uniform() - 1);
  const isDone = random.uniform() < probability;
  const move = { angle: evenly(rotate), scale: 1 + evenly(scale), dx: evenly(shift), dy: evenly(shift) };
  return isDone ? shiftScaleRotate(image, move, border) : image;
}

function cut(image: Image, left: number, top: number, width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * image.width + left) * 3;
    data.set(image.data.subarray(from, from + width * 3), y * width * 3);
  }
  return { width, height, data };
}
