import type { Captioner } from "../caption/captioner.ts";
import { wordMaps, type WordMap } from "../caption/word-maps.ts";
import { overlayAttention, type AttentionMap } from "../data/attention-overlay.ts";
import type { Image } from "../data/image.ts";
import type { PictureSet } from "../data/pictures.ts";
import { pictureBatch } from "../train/batches.ts";
import { languageName } from "./evaluations.ts";
import { dataUri, spread, type RankedPicture, type Ranking } from "./report-pictures.ts";
import type { ReportAttention, ReportWord } from "./report-page-pictures.ts";

/** Pictures of each kind: the best, the worst, and evenly chosen ones between them. */
const OF_EACH = 4;

/** Longer side of a picture under its map, pixels. */
const MAP_SIZE = 96;

/** Words of a text that are shown: with all pictures together at most about 1.5 MB. */
const MAX_WORDS = 32;

const JPEG_QUALITY = 75;

/** Where the captioner looked, word by word, for a dozen pictures; null for one that does not look at places. */
export async function showAttention(captioner: Captioner, set: PictureSet, { by, pictures }: Ranking): Promise<ReportAttention | null> {
  const chosen = choose(pictures, by);
  const [{ language }] = chosen[0].said;
  const batch = await pictureBatch(set, chosen.map(({ index }) => index), captioner.preprocessing);
  const maps = await wordMaps(captioner, batch, chosen.map(({ said }) => said[0].ids), language ?? undefined);
  if (maps === null) return null;
  const [{ map = null } = {}] = maps.flat();
  const spoken = language === null ? "" : ` in ${languageName(language)}`;
  return {
    about: `Before each word of a caption${spoken}, the decoder weighs the places of the picture${map === null ? "" : `, ${map.width} × ${map.height} of them`}: bright is where it looked most, dark and grey where it did not look.`,
    pictures: await Promise.all(chosen.map(async ({ index, said, why }, i) => {
      const image = await set.shown(index, MAP_SIZE);
      const words = maps[i].slice(0, MAX_WORDS).map((word) => showWord(image, word));
      return { name: said[0].name, source: dataUri(image, JPEG_QUALITY), chosen: why, words, more: maps[i].length - words.length };
    })),
  };
}

function choose(pictures: Ranking["pictures"], by: string): readonly (RankedPicture & { readonly why: string })[] {
  const ends = Math.min(OF_EACH, Math.floor(pictures.length / 2));
  const because = (why: string) => (picture: RankedPicture) => ({ ...picture, why });
  return [
    ...pictures.slice(0, ends).map(because(`among the best by ${by}`)),
    ...pictures.slice(pictures.length - ends).toReversed().map(because(`among the worst by ${by}`)),
    ...spread(pictures.slice(ends, pictures.length - ends), OF_EACH).map(because("evenly chosen")),
  ];
}

function showWord(image: Image, { text, map }: WordMap): ReportWord {
  return { text, source: dataUri(overlayAttention(image, map), JPEG_QUALITY), place: placeOf(map) };
}

/** Where a map's centre of gravity lies, in words. */
function placeOf({ width, height, data }: AttentionMap): string {
  let [total, across, down] = [0, 0, 0];
  for (let i = 0; i < data.length; i++) {
    total += data[i];
    across += data[i] * (((i % width) + 0.5) / width);
    down += data[i] * ((Math.floor(i / width) + 0.5) / height);
  }
  const third = (share: number, names: readonly [string, string, string]): string => names[Math.min(2, Math.max(0, Math.floor(share * 3)))];
  const place = `${third(down / total, ["at the top", "", "at the bottom"])} ${third(across / total, ["left", "", "right"])}`.trim();
  return place === "" ? "in the middle" : place === "left" || place === "right" ? `on the ${place}` : place;
}
