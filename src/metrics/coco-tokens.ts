/** What coco-caption takes out again after splitting. Runs of dots, and of dashes, each count as one. */
const DROPPED = /^(?:["`':;,.?!]|\.+|-+)$/;

const BRACKETS: ReadonlyMap<string, string> = new Map([["(", "-lrb-"], [")", "-rrb-"], ["[", "-lsb-"], ["]", "-rsb-"], ["{", "-lcb-"], ["}", "-rcb-"]]);

/** Two words written as one. */
const JOINED: ReadonlyMap<string, readonly string[]> = new Map(
  ["can not", "gon na", "wan na", "got ta", "gim me", "lem me"].map((words) => [words.replace(" ", ""), words.split(" ")]),
);

/** The kinds of tokens, in the order in which they are tried. */
const TOKEN = new RegExp(
  [
    String.raw`(?:mrs?|ms|dr|jr|sr|st|prof|vs|etc|inc|ltd|corp)\.`, // abbreviations keep their dot
    String.raw`(?:\p{L}\.){2,}`, // U.S., a.m.
    String.raw`\p{L}+(?:&\p{L}+)+(?![\p{L}\p{N}])`, // AT&T
    String.raw`\d+(?:[.,:/]\d+)+`, // 9:30, 1,000, 1/2
    String.raw`[#@][\p{L}_][\p{L}\p{N}_]+`,
    String.raw`'(?:s|m|d|re|ve|ll|em|til|cause|n|t)(?![\p{L}\p{N}])`, // parts of contractions that stand alone
    String.raw`[\p{L}\p{N}\p{M}_]+(?:[-'/][\p{L}\p{N}\p{M}_]+)*`, // t-shirt, o'clock, black/white
    String.raw`\.+|-+|[?!]+`,
    String.raw`\S`,
  ].join("|"),
  "giu",
);

/** The end of a contraction: don't → do n't, dog's → dog 's; wouldn't've has two. */
const CONTRACTION = /^(.+)(n't|'(?:s|m|d|re|ve|ll))$/;
const MOST_ENDS = 2;

/**
 * The tokens of a caption as coco-caption makes them before it scores, without its Java program: split as in the Penn
 * Treebank, in lower case, the Treebank's punctuation taken out.
 *
 * As there, brackets stay (as `-lrb-`: they are lower-cased before they are looked for) and so do several marks in a row (`!!`).
 * Not reproduced: web addresses, smileys, and abbreviations beyond the commonest.
 * Source: coco-caption, pycocoevalcap/tokenizer; Stanford's PTBTokenizer 3.4.1.
 */
export function cocoTokens(text: string): string[] {
  const plain = text.replace(/[\u2018\u2019\u201A\u201B`´]/g, "'").replace(/[\u201C-\u201F\u00AB\u00BB]|''/g, '"').replace(/[\u2012-\u2015]/g, " -- ").replaceAll("\u2026", "...");
  const tokens = plain.toLowerCase().match(TOKEN) ?? [];
  return tokens.flatMap(split).filter((token) => !DROPPED.test(token));
}

function split(token: string): readonly string[] {
  const bracket = BRACKETS.get(token);
  if (bracket !== undefined) return [bracket];
  const ends: string[] = [];
  let word = token;
  for (let match = CONTRACTION.exec(word); match !== null && ends.length < MOST_ENDS; match = CONTRACTION.exec(word)) {
    word = match[1];
    ends.unshift(match[2]);
  }
  return [...(JOINED.get(word) ?? [word]), ...ends];
}
