import { CaptionCollector, type CaptionFormat, firstLine, linesOf } from "./captions.ts";

/** `name.jpg#0`, white space, and the caption. The number is what tells the format. */
const LINE = /^(.*?)#(\d+)\s+(.*)$/;

/**
 * `Flickr8k.token.txt` and Flickr30k's `results_20130124.token`: a line a caption, `name.jpg#k<TAB>caption`, k counting an
 * image's captions from 0.
 *
 * One image of Flickr8k, `2258277193_586949ec62.jpg.1`, exists under no such name: it is kept here, and reported once
 * names are held against files. Source: Hodosh et al. 2013; Young et al. 2014.
 */
export const flickrTokens: CaptionFormat = {
  name: "Flickr8k.token.txt (name#number, tab, caption)",
  fileName: /^(?!.*lemma).*\.token(?:\.txt)?$/i, // Flickr8k.lemma.token.txt holds base forms of words, no sentences

  recognises: (sample) => /^\S.*\.(?:jpe?g|png)\S*#\d+\s/i.test(firstLine(sample)),

  parse(text, source) {
    const collector = new CaptionCollector(source, "line");
    for (const [line, where] of linesOf(text)) {
      const [, image, , caption] = LINE.exec(line) ?? [];
      if (image === undefined) collector.findings.dropped("line", "without #number after the image's name", where);
      else collector.add(image, caption, where);
    }
    return collector.finish();
  },
};
