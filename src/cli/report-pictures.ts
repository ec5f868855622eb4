import { encode } from "jpeg-js";
import type { Evaluation, EvaluatedPicture } from "../caption/evaluate.ts";
import type { Image } from "../data/image.ts";
import type { PictureSet } from "../data/pictures.ts";
import { wordsOf } from "../data/vocabulary.ts";
import { tokenOverlap } from "../metrics/token-overlap.ts";
import { languageName } from "./evaluations.ts";
import { counted, percent, thousands } from "../core/format.ts";
import type { ReportCaption, ReportPicture, ReportPictures } from "./report-page-pictures.ts";

/** Longer side of the pictures in the report, pixels; shown at about this size, also on dense screens. */
const PICTURE_SIZE = 192;

/** The report keeps this many pictures at most, evenly spread over the set. */
const MAX_PICTURES = 300;

/** All pictures together, as text: 300 scenes take 1.5 MB, as many photographs would take 4. */
const MAX_LETTERS = 2.4e6;

const JPEG_QUALITY = 85;

/** Pictures that are shown as the best, and as the worst. */
const ENDS = 6;

/** A picture with what was said of it in each language. */
export interface RankedPicture {
  readonly index: number;
  readonly said: readonly (EvaluatedPicture & { readonly language: string | null })[];
}

/** Pictures from the best to the worst. */
export interface Ranking {
  /** The score that decides. */
  readonly by: string;
  readonly pictures: readonly RankedPicture[];
}

/** Pictures by CIDEr-D, the mean over languages; by METEOR where CIDEr-D tells none apart, as it cannot for one picture alone. */
export function rank(evaluations: readonly Evaluation[]): Ranking {
  const pictures = new Map<number, RankedPicture["said"]>();
  for (const { language, pictures: some } of evaluations) {
    for (const picture of some) pictures.set(picture.index, [...(pictures.get(picture.index) ?? []), { ...picture, language }]);
  }
  const all = Array.from(pictures, ([index, said]) => ({ index, said }));
  const tells = new Set(all.flatMap(({ said }) => said.map(({ scores }) => scores.cider))).size > 1;
  const [by, scoreOf] = tells ? (["CIDEr-D", ({ scores }: EvaluatedPicture) => scores.cider] as const) : (["METEOR", ({ scores }: EvaluatedPicture) => scores.meteor ?? 0] as const);
  const mean = ({ said }: RankedPicture): number => said.reduce((sum, picture) => sum + scoreOf(picture), 0) / said.length;
  return { by, pictures: all.toSorted((a, b) => mean(b) - mean(a) || a.index - b.index) };
}

/** The best, the worst, and as many of the others as there is room for, in the order of the set. */
export async function showPictures(set: PictureSet, { by, pictures }: Ranking): Promise<ReportPictures> {
  const scenes = pictures[0].said[0].right !== undefined;
  const show = async (some: readonly RankedPicture[]): Promise<readonly ReportPicture[]> => {
    const shown: ReportPicture[] = [];
    for (const picture of some) shown.push(await showPicture(set, picture, by)); // in turn: photographs' files are large
    return shown;
  };
  const ends = Math.min(ENDS, Math.floor(pictures.length / 2));
  const best = await show(pictures.slice(0, ends));
  const worst = await show(pictures.slice(pictures.length - ends).toReversed());
  const rest = pictures.slice(ends, pictures.length - ends).toSorted((a, b) => a.index - b.index);
  const letters = [...best, ...worst].reduce((most, { source }) => Math.max(most, source.length), 1);
  const others = await show(spread(rest, Math.min(MAX_PICTURES, Math.floor(MAX_LETTERS / letters)) - 2 * ends));
  const shown = 2 * ends + others.length;
  const few = shown < pictures.length ? ` of ${thousands(pictures.length)}: the best, the worst, and others evenly chosen` : "";
  return {
    heading: "Pictures and captions",
    about: `${counted(shown, "picture")}${few}. Best and worst are by ${by}, which stands under each caption; open it for the picture's other scores. The reference is the one nearest to the caption, and words that it lacks are underlined where a caption ${scenes ? "is wrong" : "is not one of the references"}.`,
    rightMeans: scenes ? "right" : "word for word",
    wrongMeans: scenes ? "wrong" : "in other words",
    groups: [
      { heading: `Best by ${by}`, shown: best },
      { heading: `Worst by ${by}`, shown: worst },
      { heading: ends === 0 ? "" : "Others", shown: others },
    ].filter((group) => group.shown.length > 0),
  };
}

async function showPicture(set: PictureSet, { index, said }: RankedPicture, by: string): Promise<ReportPicture> {
  const source = dataUri(await set.shown(index, PICTURE_SIZE));
  return { name: said[0].name, source, heldOut: said[0].heldOut ?? false, captions: said.map((picture) => showCaption(picture, by)) };
}

function showCaption(picture: RankedPicture["said"][number], by: string): ReportCaption {
  const { language, caption, right, scores } = picture;
  const all: readonly (readonly [string, string])[] = [
    ["CIDEr-D", scores.cider.toFixed(2)],
    ...(scores.meteor === undefined ? [] : [["METEOR", percent(scores.meteor)] as const]),
    ...scores.bleu.map((value, i) => [`BLEU-${i + 1}`, percent(value)] as const),
    ["ROUGE-L (coco)", percent(scores.rougeL)],
    ["ROUGE-1", percent(scores.rouge.rouge1)],
    ["ROUGE-2", percent(scores.rouge.rouge2)],
    ["ROUGE-L", percent(scores.rouge.rougeL)],
    ["token precision", percent(scores.tokenPrecision)],
    ["token recall", percent(scores.tokenRecall)],
    ["token F1", percent(scores.tokenF1)],
  ];
  const first = all.filter(([name]) => name === by);
  return { language: language === null ? "" : languageName(language), text: caption, reference: nearest(picture), right: right ?? scores.exact, scores: [...first, ...all.filter(([name]) => name !== by)] };
}

/** The reference that shares most words with the caption. */
function nearest({ caption, references }: EvaluatedPicture): string {
  const said = wordsOf(caption);
  const likeness = references.map((reference) => tokenOverlap([said], [[wordsOf(reference)]]).f1);
  return references[likeness.indexOf(Math.max(...likeness))];
}

/** JPEG: textures would cost ten times as much as PNG. @param quality From 1 to 100. */
export function dataUri({ width, height, data }: Image, quality = JPEG_QUALITY): string {
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return `data:image/jpeg;base64,${encode({ width, height, data: rgba }, quality).data.toString("base64")}`;
}

/** At most `count` of the items, evenly spread and in order. */
export function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items;
  return Array.from({ length: Math.max(0, count) }, (_, i) => items[Math.floor((i * items.length) / count)]);
}
