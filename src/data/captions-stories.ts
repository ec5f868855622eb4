import { CaptionCollector, type CaptionFormat, firstLine, linesOf, PICTURE_NAME } from "./captions.ts";

/** Two or more spaces stand for the tab in files that an editor has been at. */
const SPACES_OR_TAB = / {2,}|\t/;

/**
 * `stories.txt`: a line an image, `image<TAB>story`.
 *
 * Further tabs are joined into the story by spaces, and two or more spaces in place of the tab are accepted; both are
 * reported. Byte-order mark, CRLF and blank lines are fine. Several stories for one image are several captions.
 */
export const stories: CaptionFormat = {
  name: "stories.txt (tab-separated)",
  fileName: /^stories\.(?:txt|tsv)$/i,

  recognises(sample) {
    const [image, story] = firstLine(sample).trim().split(SPACES_OR_TAB);
    return PICTURE_NAME.test(image.trim()) && story !== undefined;
  },

  parse(text, source) {
    const collector = new CaptionCollector(source, "line");
    for (const [line, where] of linesOf(text)) {
      const bySpaces = isSeparatedBySpaces(line);
      const [image, ...parts] = bySpaces ? line.trim().split(SPACES_OR_TAB) : line.split("\t");
      if (parts.length === 0) {
        collector.findings.dropped("line", "without a tab between image and story", where);
        continue;
      }
      if (bySpaces) collector.findings.repaired("line", "with spaces in place of the tab after the image's name", where);
      else if (parts.length > 1) collector.findings.repaired("line", "with further tabs, joined by spaces", where);
      collector.add(image, parts.join(" "), where);
    }
    return collector.finish();
  },
};

/** Whether spaces stand between image and story: there is no tab, or the tabs are all in the story. */
function isSeparatedBySpaces(line: string): boolean {
  const beforeTab = line.split("\t", 1)[0].trim();
  return !line.includes("\t") || (!PICTURE_NAME.test(beforeTab) && PICTURE_NAME.test(beforeTab.split(SPACES_OR_TAB)[0]));
}
