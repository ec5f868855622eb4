import { type CaptionExample, linesOf, type Split } from "./captions.ts";
import { type Finding, Findings } from "./findings.ts";

/** `Flickr_8k.trainImages.txt`, `Flickr_8k.devImages.txt`, `Flickr_8k.testImages.txt`: the names of a split's pictures, one a line. */
const SPLIT_LIST = /(train|dev|val|test)Images\.txt$/i;

/** The split that a list of pictures names, or undefined for any other file. */
export function splitOfList(file: string): Split | undefined {
  const name = SPLIT_LIST.exec(file)?.[1].toLowerCase();
  return name === "dev" ? "val" : (name as Split | undefined);
}

/**
 * The splits that lists of pictures give; an image that stands in several is held back, so that no tested picture is trained on.
 * @param lists The text of each list, by its file.
 */
export function parseSplitLists(lists: ReadonlyMap<string, string>): { examples: CaptionExample[]; findings: Finding[] } {
  const splits = new Map<string, Split>();
  const findings: Finding[] = [];
  for (const [file, text] of lists) {
    const split = splitOfList(file);
    if (split === undefined) continue;
    const found = new Findings(file);
    for (const [line] of linesOf(text)) {
      const image = line.trim();
      const before = splits.get(image);
      if (before !== undefined && before !== split) found.repaired("image", `that another list has too, taken as ${stricter(before, split)}`, image);
      splits.set(image, stricter(before, split));
    }
    findings.push(...found.list());
  }
  return { examples: Array.from(splits, ([image, split]) => ({ image, captions: [], split })), findings };
}

/** Of two splits the one that is kept further from training. */
export function stricter<S extends Split | undefined>(a: Split | undefined, b: S): S | Split {
  if (a === undefined || a === b) return b;
  return a === "test" || b === "test" ? "test" : a === "val" || b === "val" ? "val" : "train";
}
