import { InputError, shown } from "../core/errors.ts";
import { CaptionCollector, type CaptionFormat, parseJson, type Split } from "./captions.ts";

interface KarpathyImage {
  readonly filename: string;
  readonly filepath?: string;
  readonly cocoid?: number;
  readonly split?: string;
  readonly sentences: readonly { readonly raw?: string; readonly tokens?: readonly string[] }[];
}

const SPLITS: ReadonlyMap<string, Split> = new Map([["train", "train"], ["restval", "train"], ["val", "val"], ["test", "test"]]);

/**
 * A Karpathy JSON, `{images: [{filename, filepath?, cocoid?, split, sentences: [{raw, tokens}]}]}`, as Flickr8k, Flickr30k and
 * COCO are split in most papers; `restval` counts as train, and `tokens` are joined where `raw` is missing.
 * @throws InputError if it is not JSON or not of that form.
 * Source: Karpathy and Fei-Fei 2015, arXiv:1412.2306.
 */
export const karpathy: CaptionFormat = {
  name: "Karpathy JSON",
  fileName: /^dataset.*\.json$/i,

  recognises: (sample) => sample.trimStart().startsWith("{") && sample.includes('"sentences"'),

  parse(text, source) {
    const collector = new CaptionCollector(source, "caption");
    for (const { filename, filepath, split, sentences } of karpathyImages(text, source)) {
      const image = filepath ? `${filepath}/${filename}` : filename;
      if (split !== undefined && !SPLITS.has(split)) {
        collector.findings.dropped("image", "of a split other than train, restval, val and test", `${image}: ${split}`);
        continue;
      }
      if (split === "restval") collector.findings.repaired("image", "of split restval, taken as train", image);
      if (sentences.length === 0) collector.findings.dropped("image", "without a sentence", image);
      for (const [i, { raw, tokens }] of sentences.entries()) {
        collector.add(image, raw ?? tokens?.join(" ") ?? "", `sentence ${i + 1} of ${image}`, split === undefined ? undefined : SPLITS.get(split));
      }
    }
    return collector.finish();
  },
};

function karpathyImages(text: string, source: string): readonly KarpathyImage[] {
  const json = parseJson(text, source);
  const images = typeof json === "object" && json !== null && "images" in json ? json.images : undefined;
  if (!Array.isArray(images)) {
    throw new InputError(`${source}: must be {"images": [...]}, the Karpathy layout; got no such list`, "is it a file of captions?");
  }
  const misfit = images.findIndex((image) => !isKarpathyImage(image));
  if (misfit >= 0) {
    const got = shown(images[misfit]);
    throw new InputError(`${source}: images[${misfit}] must be {"filename", "split", "sentences": [{"raw"}]}; got ${got}`, "mend it, or take the image out");
  }
  return images as KarpathyImage[];
}

function isKarpathyImage(value: unknown): value is KarpathyImage {
  if (typeof value !== "object" || value === null) return false;
  const { filename, filepath, split, sentences } = value as Partial<Record<keyof KarpathyImage, unknown>>;
  return typeof filename === "string" && isOptionalText(filepath) && isOptionalText(split) && Array.isArray(sentences) && sentences.every(isSentence);
}

function isSentence(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { raw, tokens } = value as { raw?: unknown; tokens?: unknown };
  return isOptionalText(raw) && (tokens === undefined || (Array.isArray(tokens) && tokens.every((token) => typeof token === "string")));
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}
