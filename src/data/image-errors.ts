import { InputError } from "../core/errors.ts";

const MAX_SIDE = 1e6; // pixels, as libpng: what a row costs, whatever its length, would add up otherwise

/** The refusal of a file that ends early or is damaged; `what` says where. */
export function damaged(name: string, format: "JPEG" | "PNG", what: string, cause?: unknown): InputError {
  return new InputError(
    `decodeImage: ${name} must be a complete ${format}; got a truncated or damaged one: ${what}`,
    "copy or download it again, or open it in an image editor and save it anew",
    { cause },
  );
}

/** The refusal of a sound file in a variant that isn't read. */
export function unsupported(name: string, expected: string, got: string): InputError {
  const hint = "convert it to an RGB JPEG or PNG";
  return new InputError(`decodeImage: ${name} must be ${expected}; got ${got}`, hint);
}

/** @throws InputError if a picture of this size is empty or above the limit. */
export function checkSize(name: string, width: number, height: number, maxPixels: number): void {
  if (width < 1 || height < 1) {
    throw new InputError(`decodeImage: ${name} must have at least 1×1 pixels; got ${width}×${height}`, "it is damaged");
  }
  if (Math.max(width, height) > MAX_SIDE) {
    throw new InputError(`decodeImage: ${name} must have at most ${MAX_SIDE} pixels a side; got ${width}×${height}`, "cut it into pieces");
  }
  if (width * height > maxPixels) {
    const megapixels = (width * height) / 1e6;
    throw new InputError(
      `decodeImage: ${name} must have at most ${Number((maxPixels / 1e6).toPrecision(3))} megapixels; got ${width}×${height} = ${megapixels.toFixed(1)}`,
      "scale it down, or raise the option maxMegapixels",
    );
  }
}
