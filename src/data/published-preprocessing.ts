import { InputError } from "../core/errors.ts";
import { HALF, IMAGENET, parsePreprocessing, type PerChannel, type Preprocessing } from "./preprocess.ts";
import type { Filter } from "./resize.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Pillow's numbers of its filters. */
const RESAMPLE: Readonly<Record<number, Filter>> = { 2: "bilinear", 3: "bicubic" };
/** All of them resize to a square without a crop; `ViTFeatureExtractor` is the older name. */
const VIT_PROCESSORS = ["ViTImageProcessor", "ViTImageProcessorFast", "ViTFeatureExtractor"];
const DEFAULT_CROP = 0.875; // timm's

/**
 * How published weights want their pictures, from the JSON file that stands beside them: Hugging Face's `preprocessor_config.json`
 * of ViTImageProcessor, or timm's `config.json` with its `pretrained_cfg`.
 * @param name Of the file, for error messages.
 * @throws InputError that names the field that isn't understood.
 * Source: transformers, image_processing_vit.py; timm, data/config.py and data/transforms_factory.py.
 */
export function publishedPreprocessing(config: unknown, name: string): Preprocessing {
  const fields = isFields(config) ? config : {};
  if (isFields(fields.pretrained_cfg)) return fromTimm(fields.pretrained_cfg, name);
  if ("input_size" in fields) return fromTimm(fields, name); // as timm wrote it before it had pretrained_cfg
  if ("size" in fields) return fromHuggingFace(fields, name);
  throw refusal(name, "size (Hugging Face) or pretrained_cfg (timm)", "given", Object.keys(fields).slice(0, 6));
}

function fromTimm(fields: Fields, name: string): Preprocessing {
  const { input_size: inputSize, interpolation = "bicubic", crop_pct: cropShare = DEFAULT_CROP, crop_mode: cropMode = "center", mean = IMAGENET.mean, std = IMAGENET.std } = fields;
  const [channels, height, width] = Array.isArray(inputSize) ? inputSize : [];
  if (channels !== 3 || height !== width || !isLength(height)) throw refusal(name, "input_size", "[3, N, N]", inputSize);
  if (interpolation !== "bilinear" && interpolation !== "bicubic") throw refusal(name, "interpolation", '"bilinear" or "bicubic"', interpolation);
  if (typeof cropShare !== "number" || !(cropShare > 0 && cropShare <= 1)) throw refusal(name, "crop_pct", "above 0 and at most 1", cropShare);
  const squashes = cropMode === "squash" && cropShare === 1;
  if (cropMode !== "center" && !squashes) throw refusal(name, "crop_mode", '"center", or "squash" with crop_pct 1', cropMode);
  const statistics = { mean: perChannel(mean, name, "mean"), std: perChannel(std, name, "std") };
  const shape = squashes ? ({ resize: "squash" } as const) : ({ resize: "crop", shortSide: Math.floor(height / cropShare) } as const);
  return parsePreprocessing({ size: height, ...shape, filter: interpolation, ...statistics });
}

function fromHuggingFace(fields: Fields, name: string): Preprocessing {
  const { size, resample = 2, do_resize: resizes = true, do_rescale: rescales = true, rescale_factor: factor = 1 / 255, do_normalize: normalises = true } = fields;
  const processor = fields.image_processor_type ?? fields.feature_extractor_type ?? VIT_PROCESSORS[0];
  if (!VIT_PROCESSORS.some((known) => known === processor)) throw refusal(name, "image_processor_type", VIT_PROCESSORS[0], processor);
  if (resizes !== true) throw refusal(name, "do_resize", "true", resizes);
  for (const step of ["do_center_crop", "do_pad", "do_flip_channel_order"]) {
    if (fields[step]) throw refusal(name, step, "false", fields[step]);
  }
  const { height, width } = isFields(size) ? size : { height: size, width: size };
  if (!isLength(height) || height !== width) throw refusal(name, "size", "N, or a height and a width of N", size);
  const filter = RESAMPLE[Number(resample)];
  if (filter === undefined) throw refusal(name, "resample", "2 (bilinear) or 3 (bicubic)", resample);
  const { image_mean: mean = HALF.mean, image_std: std = HALF.std } = normalises ? fields : { image_mean: [0, 0, 0], image_std: [1, 1, 1] };
  const scale = rescales ? factor : 1;
  if (typeof scale !== "number" || !(scale > 0 && Number.isFinite(scale))) throw refusal(name, "rescale_factor", "a number above 0", scale);
  // (v · scale − mean) / std is (v / 255 − mean / k) / (std / k).
  const k = Math.abs(255 * scale - 1) < 1e-6 ? 1 : 255 * scale;
  const scaled = (value: unknown, field: string): PerChannel => {
    const [red, green, blue] = perChannel(value, name, field);
    return [red / k, green / k, blue / k];
  };
  return parsePreprocessing({ size: height, resize: "squash", filter, mean: scaled(mean, "image_mean"), std: scaled(std, "image_std") });
}

function perChannel(value: unknown, name: string, field: string): PerChannel {
  const isStd = field.endsWith("std");
  const [red, green, blue, ...more] = Array.isArray(value) ? (value as unknown[]) : [];
  const isLevel = (n: unknown): n is number => typeof n === "number" && Number.isFinite(n) && (!isStd || n > 0);
  if (!isLevel(red) || !isLevel(green) || !isLevel(blue) || more.length > 0) throw refusal(name, field, `three numbers${isStd ? " above 0" : ""}`, value);
  return [red, green, blue];
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isLength(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1;
}

function refusal(name: string, field: string, expected: string, got: unknown): InputError {
  return new InputError(`publishedPreprocessing: ${field} of ${name} must be ${expected}; got ${JSON.stringify(got)}`, "write the preprocessing out yourself; squash, crop and keep are known");
}
