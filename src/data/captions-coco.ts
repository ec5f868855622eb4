import { InputError, shown } from "../core/errors.ts";
import { CaptionCollector, type CaptionFormat, parseJson, type Split } from "./captions.ts";
import { baseName } from "./dataset.ts";

/** `captions_train2017.json`: the split, and the year, which is also in the name of the pictures' folder. */
const SPLIT_FILE = /^captions_(train|val|test)(.*)\.json$/i;

/**
 * COCO's caption annotations, `{images: [{id, file_name}], annotations: [{image_id, caption}]}`.
 *
 * The pictures of `captions_train2017.json` are named `train2017/…`, as COCO's archives unpack. Line breaks within
 * captions are taken as spaces, and reported. Images without annotations and annotations without an image are dropped.
 * @throws InputError if it is not JSON or not of that form; `instances_*.json` and `person_keypoints_*.json` have no captions.
 * Source: Chen et al. 2015, arXiv:1504.00325.
 */
export const cocoCaptions: CaptionFormat = {
  name: "COCO captions JSON",
  fileName: /^captions.*\.json$/i,

  recognises: (sample) => sample.trimStart().startsWith("{") && sample.includes('"image_id"') && sample.includes('"caption"'),

  parse(text, source) {
    const { images, annotations } = cocoLists(text, source);
    const [, split, year] = SPLIT_FILE.exec(baseName(source)) ?? [];
    const folder = split === undefined ? "" : `${split.toLowerCase()}${year}/`;
    const collector = new CaptionCollector(source, "caption");
    const nameOf = new Map<unknown, string>();
    for (const [i, image] of images.entries()) {
      const { id, file_name: name } = fieldsOf(image);
      if (typeof name !== "string" || !isId(id)) throw misfit(source, `images[${i}]`, '{"id", "file_name"}', image);
      nameOf.set(id, name.includes("/") ? name : folder + name);
    }
    const captioned = new Set<unknown>();
    for (const [i, annotation] of annotations.entries()) {
      const { image_id: id, caption } = fieldsOf(annotation);
      if (typeof caption !== "string" || !isId(id)) throw misfit(source, `annotations[${i}]`, '{"image_id", "caption"}', annotation);
      const name = nameOf.get(id);
      if (name === undefined) {
        collector.findings.dropped("caption", "of an image that the file doesn't list", `annotations[${i}]`);
        continue;
      }
      captioned.add(id);
      collector.add(name, caption, `annotations[${i}]`);
    }
    for (const [id, name] of nameOf) if (!captioned.has(id)) collector.findings.dropped("image", "without an annotation", name);
    return collector.finish();
  },
};

/** The part of the data set that a file of COCO's holds by its name, and the rest of the name, which its fellows share. */
export function cocoPart(file: string): { readonly split: Split; readonly rest: string } | undefined {
  const [, split, rest] = SPLIT_FILE.exec(baseName(file)) ?? [];
  return split === undefined ? undefined : { split: split.toLowerCase() as Split, rest };
}

function cocoLists(text: string, source: string): { images: readonly unknown[]; annotations: readonly unknown[] } {
  const { images, annotations } = fieldsOf(parseJson(text, source));
  if (!Array.isArray(images) || !Array.isArray(annotations)) {
    const got = Array.isArray(images) ? "no list of annotations" : "no list of images";
    throw new InputError(`${source}: must be {"images": [...], "annotations": [...]}, COCO's layout; got ${got}`, "is it a file of captions?");
  }
  return { images, annotations };
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function isId(value: unknown): boolean {
  return typeof value === "number" || typeof value === "string";
}

function misfit(source: string, place: string, expected: string, got: unknown): InputError {
  return new InputError(`${source}: ${place} must be ${expected}; got ${shown(got)}`, "take COCO's captions_*.json, not its instances or keypoints");
}
