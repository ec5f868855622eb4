/** Irregular forms that the rules would miss. */
const IRREGULAR: ReadonlyMap<string, string> = new Map([
  ...["sky", "skies"].map((word) => [word, "sky"] as const),
  ["dying", "die"],
  ["lying", "lie"],
  ["tying", "tie"],
  ...["news", "howe", "proceed", "exceed", "succeed", "inning", "outing", "canning"].map((word) => [word, word] as const),
  ["innings", "inning"],
  ["outings", "outing"],
  ["cannings", "canning"],
]);

/** A suffix, and what takes its place. */
type Rule = readonly [suffix: string, replacement: string];

const DERIVED: readonly Rule[] = [
  ["ational", "ate"],
  ["tional", "tion"],
  ["enci", "ence"],
  ["anci", "ance"],
  ["izer", "ize"],
  ["bli", "ble"],
  ["alli", "al"],
  ["entli", "ent"],
  ["eli", "e"],
  ["ousli", "ous"],
  ["ization", "ize"],
  ["ation", "ate"],
  ["ator", "ate"],
  ["alism", "al"],
  ["iveness", "ive"],
  ["fulness", "ful"],
  ["ousness", "ous"],
  ["aliti", "al"],
  ["iviti", "ive"],
  ["biliti", "ble"],
  ["fulli", "ful"],
];
const ADJECTIVAL: readonly Rule[] = [["icate", "ic"], ["ative", ""], ["alize", "al"], ["iciti", "ic"], ["ical", "ic"], ["ful", ""], ["ness", ""]];
const FINAL = ["al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize"];

/**
 * The stem of a word in lower case, such as `run` of `running`: suffixes are taken off by rules, so it need be no word.
 *
 * Source: Porter 1980, with the changes that nltk's PorterStemmer makes by default.
 */
export function porterStem(word: string): string {
  const irregular = IRREGULAR.get(word);
  if (irregular !== undefined) return irregular;
  if (word.length <= 2) return word;
  return [plural, participle, finalY, derived, adjectival, lastSuffix, finalE, finalL].reduce((stem, step) => step(stem), word);
}

/** For each letter v or c, vowel or consonant; y is a vowel after a consonant. */
function soundsOf(word: string): string {
  let sounds = "";
  for (let i = 0; i < word.length; i++) {
    const isVowel = word[i] === "y" ? sounds.endsWith("c") : "aeiou".includes(word[i]);
    sounds += isVowel ? "v" : "c";
  }
  return sounds;
}

/** How often vowels are followed by consonants: about the number of syllables. */
function measure(stem: string): number {
  return soundsOf(stem).split("vc").length - 1;
}

/** Whether a stem is so short that a final e belongs to it: hop(e), not hopp(e). */
function endsShort(stem: string): boolean {
  const sounds = soundsOf(stem);
  return sounds === "vc" || (sounds.endsWith("cvc") && !/[wxy]$/.test(stem));
}

/** Replaces the first suffix of a list that fits, if what stands before it has a positive measure. */
function replaceSuffix(word: string, rules: readonly Rule[]): string {
  const rule = rules.find(([suffix]) => word.endsWith(suffix));
  if (rule === undefined) return word;
  const stem = word.slice(0, -rule[0].length);
  return measure(stem) > 0 ? stem + rule[1] : word;
}

/** Step 1a. */
function plural(word: string): string {
  if (word.endsWith("ies")) return word.length === 4 ? word.slice(0, -1) : word.slice(0, -2);
  if (word.endsWith("sses")) return word.slice(0, -2);
  return word.endsWith("s") && !word.endsWith("ss") ? word.slice(0, -1) : word;
}

/** Step 1b: -ed and -ing. */
function participle(word: string): string {
  if (word.endsWith("ied")) return word.length === 4 ? word.slice(0, -1) : word.slice(0, -2);
  if (word.endsWith("eed")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  const suffix = ["ed", "ing"].find((ending) => word.endsWith(ending) && soundsOf(word.slice(0, -ending.length)).includes("v"));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`;
  const last = stem.at(-1);
  if (stem.at(-2) === last && soundsOf(stem).endsWith("c")) return /[lsz]$/.test(stem) ? stem : stem.slice(0, -1);
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem;
}

/** Step 1c: y becomes i after a consonant that is not the first letter. */
function finalY(word: string): string {
  return word.length > 2 && word.endsWith("y") && soundsOf(word).at(-2) === "c" ? `${word.slice(0, -1)}i` : word;
}

/** Step 2. */
function derived(word: string): string {
  if (word.endsWith("alli") && measure(word.slice(0, -4)) > 0) return derived(word.slice(0, -2));
  const known = DERIVED.some(([suffix]) => word.endsWith(suffix));
  // The l of -logi counts as the stem's, so that geo-logi is long enough.
  if (!known && word.endsWith("logi")) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word;
  return replaceSuffix(word, DERIVED);
}

/** Step 3. */
function adjectival(word: string): string {
  return replaceSuffix(word, ADJECTIVAL);
}

/** Step 4. */
function lastSuffix(word: string): string {
  const suffix = FINAL.find((ending) => word.endsWith(ending));
  if (suffix === undefined) return word;
  const stem = word.slice(0, -suffix.length);
  return measure(stem) > 1 && (suffix !== "ion" || /[st]$/.test(stem)) ? stem : word;
}

/** Step 5a. */
function finalE(word: string): string {
  if (!word.endsWith("e")) return word;
  const stem = word.slice(0, -1);
  const length = measure(stem);
  return length > 1 || (length === 1 && !endsShort(stem)) ? stem : word;
}

/** Step 5b. */
function finalL(word: string): string {
  return word.endsWith("ll") && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word;
}
