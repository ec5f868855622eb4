import { InputError } from "../core/errors.ts";

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
  if (width * height > maxPixels) {
    const megapixels = (width * height) / 1e6;
    throw new InputError(
      `decodeImage: ${name} must have at most ${maxPixels / 1e6} megapixels; got ${width}×${height} = ${megapixels.toFixed(1)}`,
      "scale it down, or raise the option maxMegapixels",
    );
  }
}
