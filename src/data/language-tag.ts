/** How a text names its language: by a word before all others, "<de> ein kleiner roter Ring". */

/** Two lower-case letters of ISO 639, and a country where it matters: `<de>`, `<pt-BR>`. */
const TAG = "<[a-z]{2}(?:-[A-Z]{2})?>";
const TAG_ALONE = new RegExp(`^${TAG}$`);
const TAG_FIRST = new RegExp(`^(${TAG})(?:\\s+|$)`, "u");

/** The tag of a language: "de" → `<de>`. */
export function tagOf(language: string): string {
  return `<${language}>`;
}

/** Whether a word is a language's tag. */
export function isTag(word: string): boolean {
  return TAG_ALONE.test(word);
}

/** A text and the tag that it begins with, apart. */
export function splitTag(text: string): { readonly tag?: string; readonly rest: string } {
  const [whole, tag] = TAG_FIRST.exec(text) ?? ["", undefined];
  return { tag, rest: text.slice(whole.length) };
}
