import { CaptionCollector, type CaptionFormat, firstLine, linesOf } from "./captions.ts";

const HEADER = /^\s*image_name\s*\|\s*comment_number\s*\|\s*comment\s*$/i;
const LINE = /^([^|]+)\|\s*\d+\s*\|(.*)$/;

/** As row 19,999 of the published file: `2199200615.jpg| 4   A dog runs across the grass .` */
const WITHOUT_SECOND_SEPARATOR = /^([^|]+)\|\s*\d+\s+([^|]*)$/;

/**
 * Flickr30k's `results.csv`: header `image_name| comment_number| comment`, then a line a caption. It is not CSV: captions
 * hold commas and quotation marks as they are. A row that lacks its second separator is repaired, and reported.
 */
export const flickrResults: CaptionFormat = {
  name: "results.csv of Flickr30k (separated by |)",
  fileName: /^results.*\.csv$/i,

  recognises(sample) {
    const line = firstLine(sample);
    return HEADER.test(line) || LINE.test(line);
  },

  parse(text, source) {
    const collector = new CaptionCollector(source, "line");
    for (const [line, where] of linesOf(text)) {
      if (HEADER.test(line)) continue;
      const whole = LINE.exec(line);
      const [, image, caption] = whole ?? WITHOUT_SECOND_SEPARATOR.exec(line) ?? [];
      if (image === undefined) {
        collector.findings.dropped("line", "without image | number | caption", where);
        continue;
      }
      if (whole === null) collector.findings.repaired("line", "without the second separator, split behind the number", where);
      collector.add(image, caption, where);
    }
    return collector.finish();
  },
};
