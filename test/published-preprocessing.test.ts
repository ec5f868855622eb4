import { describe, expect, test } from "vitest";
import { InputError } from "../src/core/errors.ts";
import { PREPROCESSING, squash } from "../src/data/preprocess.ts";
import { publishedPreprocessing } from "../src/data/published-preprocessing.ts";

const HALF = [0.5, 0.5, 0.5];
const vitBase = { do_normalize: true, do_rescale: true, do_resize: true, image_mean: HALF, image_processor_type: "ViTImageProcessor", image_std: HALF, resample: 2, rescale_factor: 0.00392156862745098, size: { height: 224, width: 224 } };
const timmVit = { architecture: "vit_base_patch16_224", pretrained_cfg: { input_size: [3, 224, 224], interpolation: "bicubic", crop_pct: 0.9, crop_mode: "center", mean: HALF, std: HALF, fixed_input_size: true } };
const timmWith = (change: object): unknown => ({ pretrained_cfg: { ...timmVit.pretrained_cfg, ...change } });

describe("Hugging Face's preprocessor_config.json", () => {
  test("of today and of earlier years", () => {
    expect(publishedPreprocessing(vitBase, "p.json")).toEqual(PREPROCESSING.huggingFaceVit);
    const older = { do_normalize: true, do_resize: true, feature_extractor_type: "ViTFeatureExtractor", image_mean: HALF, image_std: HALF, resample: 2, size: 224 };
    expect(publishedPreprocessing(older, "p.json")).toEqual(squash(224));
    expect(publishedPreprocessing({ size: 384 }, "p.json")).toEqual(squash(384));
    expect(publishedPreprocessing({ ...vitBase, resample: 3, image_mean: [0.1, 0.2, 0.3] }, "p.json")).toEqual({ ...squash(224), filter: "bicubic", mean: [0.1, 0.2, 0.3] });
  });

  test("pixels that aren't scaled to 0 … 1, or not normalised", () => {
    expect(publishedPreprocessing({ ...vitBase, do_normalize: false }, "p.json")).toEqual(PREPROCESSING.unitSquash);
    // v / 127.5 − 1 = (v / 255 − 0.5) / 0.5
    const centred = publishedPreprocessing({ ...vitBase, rescale_factor: 1 / 127.5, image_mean: [1, 1, 1], image_std: [1, 1, 1] }, "p.json");
    expect(centred).toEqual(squash(224));
    // (v − 127.5) / 51 = (v / 255 − 0.5) / 0.2
    const unscaled = publishedPreprocessing({ ...vitBase, do_rescale: false, image_mean: [127.5, 127.5, 127.5], image_std: [51, 51, 51] }, "p.json");
    expect(unscaled).toEqual({ ...squash(224), std: [0.2, 0.2, 0.2] });
  });

  test.each([
    ["image_processor_type", { image_processor_type: "CLIPImageProcessor" }],
    ["do_resize", { do_resize: false }],
    ["do_center_crop", { do_center_crop: true }],
    ["do_flip_channel_order", { do_flip_channel_order: true }],
    ["size", { size: { shortest_edge: 224 } }],
    ["size", { size: { height: 224, width: 192 } }],
    ["size", { size: "224" }],
    ["resample", { resample: 1 }],
    ["rescale_factor", { rescale_factor: 0 }],
    ["image_mean", { image_mean: [0.5] }],
    ["image_std", { image_std: [0.5, 0, 0.5] }],
  ])("is refused by the field at fault: %s", (field, change) => {
    const read = (): unknown => publishedPreprocessing({ ...vitBase, ...change }, "hub/p.json");
    expect(read).toThrow(InputError);
    expect(read).toThrow(`publishedPreprocessing: ${field} of hub/p.json must be`);
  });
});

describe("timm's config.json", () => {
  test("with pretrained_cfg and without", () => {
    expect(publishedPreprocessing(timmVit, "config.json")).toEqual(PREPROCESSING.timmVit);
    expect(publishedPreprocessing(timmVit.pretrained_cfg, "config.json")).toEqual(PREPROCESSING.timmVit);
    const defaults = { ...PREPROCESSING.imagenetV1, filter: "bicubic", mean: [0.485, 0.456, 0.406] };
    expect(publishedPreprocessing({ pretrained_cfg: { input_size: [3, 224, 224] } }, "config.json")).toEqual(defaults);
  });

  test.each([
    [1, 224],
    [0.95, 235],
    [0.9, 248],
    [0.875, 256],
  ])("with a crop of %d resizes the short side to %d", (share, shortSide) => {
    expect(publishedPreprocessing(timmWith({ crop_pct: share }), "config.json")).toMatchObject({ resize: "crop", size: 224, shortSide });
  });

  test("may squash", () => {
    expect(publishedPreprocessing(timmWith({ crop_pct: 1, crop_mode: "squash" }), "config.json")).toEqual({ ...squash(224), filter: "bicubic" });
  });

  test.each([
    ["input_size", { input_size: [3, 224, 256] }],
    ["input_size", { input_size: [1, 28, 28] }],
    ["interpolation", { interpolation: "random" }],
    ["crop_pct", { crop_pct: 1.5 }],
    ["crop_mode", { crop_mode: "border" }],
    ["crop_mode", { crop_mode: "squash" }],
    ["std", { std: [1, 1] }],
  ])("is refused by the field at fault: %s", (field, change) => {
    expect(() => publishedPreprocessing(timmWith(change), "config.json")).toThrow(`publishedPreprocessing: ${field} of config.json must be`);
  });
});

test.each([[null], [[1]], [{ model_type: "gpt2" }]])("a file of another kind is refused: %j", (config) => {
  expect(() => publishedPreprocessing(config, "config.json")).toThrow("size (Hugging Face) or pretrained_cfg (timm) of config.json must be given");
});
