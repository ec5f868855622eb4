/** What a scene says in words, in several languages: captions and stories of its facts, and the way back to the facts. */

import { InputError, shown } from "../core/errors.ts";
import { tagOf } from "./language-tag.ts";
import { INVERSE, OBJECTS, type SceneFacts } from "./scene-facts.ts";
import { ENGLISH } from "./scene-languages/english.ts";
import { GERMAN } from "./scene-languages/german.ts";
import { SPANISH } from "./scene-languages/spanish.ts";
import { SLOT, wordingOf, type SceneLanguage, type Wording } from "./scene-wording.ts";

export const LANGUAGES = ["en", "es", "de"] as const;
export type Language = (typeof LANGUAGES)[number];

/** What a text about a scene can be: one sentence without punctuation, or several with their full stops. */
export const SCENE_TEXTS = ["caption", "story"] as const;
export type SceneText = (typeof SCENE_TEXTS)[number];

type Wordings = Readonly<Record<SceneText, readonly (readonly Wording[])[]>>;

const GRAMMARS: Readonly<Record<Language, SceneLanguage>> = { en: ENGLISH, es: SPANISH, de: GERMAN };

/** Those of the languages that were asked for. */
const made = new Map<Language, Wordings>();

function wordingsOf(language: Language): Wordings {
  if (!LANGUAGES.includes(language)) throw new InputError(`scenes: a language must be one of ${LANGUAGES.join(", ")}; got ${shown(language)}`);
  const grammar = GRAMMARS[language];
  const all = (templates: SceneLanguage["captions"]) => templates.map((some) => some.map((template) => wordingOf(template, grammar)));
  const wordings = made.get(language) ?? { caption: all(grammar.captions), story: all(grammar.stories) };
  made.set(language, wordings);
  return wordings;
}

function write(facts: SceneFacts, text: SceneText, language: Language): string[] {
  const wordings = wordingsOf(language)[text];
  const count = facts.objects.length;
  if (wordings[count - 1] === undefined) throw new InputError(`scenes: a ${text} must be about 1 to ${wordings.length} objects; got ${count}`);
  return wordings[count - 1].map((wording) => wording.write(facts));
}

function read(text: string, kind: SceneText, language: Language): SceneFacts | null {
  for (const wording of wordingsOf(language)[kind].flat()) {
    const facts = wording.read(text);
    if (facts !== null) return facts;
  }
  return null;
}

/**
 * The five captions of a scene, in lower-case words (but for German nouns) parted by single spaces, without punctuation.
 * Each names every object with its size, colour and shape, and every relation.
 * @throws InputError unless the facts have one to three objects.
 */
export function captionsOf(facts: SceneFacts, language: Language = "en"): string[] {
  return write(facts, "caption", language);
}

/**
 * The facts that a caption states, or null if it is not one of the language's sentences, with every article and ending
 * right, or contradicts itself ("on the left is … and at the bottom is …"). German may lack its capitals.
 */
export function parseCaption(text: string, language: Language = "en"): SceneFacts | null {
  return read(text, "caption", language);
}

/** The three stories of a scene: two to four sentences, written as captions are, that together state every fact. */
export function storiesOf(facts: SceneFacts, language: Language = "en"): string[] {
  return write(facts, "story", language);
}

/** One of the {@link storiesOf} a scene, by any whole number from 0 up. */
export function storyOf(facts: SceneFacts, language: Language = "en", wording = 0): string {
  const stories = storiesOf(facts, language);
  return stories[wording % stories.length];
}

/** The facts that a story states, or null, as {@link parseCaption}. */
export function parseStory(text: string, language: Language = "en"): SceneFacts | null {
  return read(text, "story", language);
}

/** A text with the tag of its language before it: `<de> ein kleiner roter Ring`. */
export function taggedCaption(text: string, language: Language): string {
  return `${tagOf(language)} ${text}`;
}

/** A text that two lists of facts share if and only if they state the same, in whatever order or direction. */
export function factsKey({ objects, relations }: SceneFacts): string {
  const names = objects.map(ENGLISH.forms.phrase);
  const statements = relations.map(({ subject, name, object }) =>
    name === "left of" || name === "above"
      ? `${names[subject]} ${name} ${names[object]}`
      : `${names[object]} ${INVERSE[name]} ${names[subject]}`,
  );
  return [...names.sort(), ...statements.sort()].join("; ");
}

/** Whether both state the same objects and relations; "A left of B" is the same as "B right of A". */
export function sameFacts(a: SceneFacts, b: SceneFacts): boolean {
  return factsKey(a) === factsKey(b);
}

/** Every word that an English caption can hold, sorted. */
export const SCENE_WORDS: readonly string[] = [
  ...new Set(
    [
      ...ENGLISH.captions.flat().map((template) => template.replace(SLOT, " ")),
      ...Object.values(ENGLISH.relations).flatMap((phrases) => Object.values(phrases)),
      ...OBJECTS.map(ENGLISH.forms.phrase),
    ].flatMap((text) => text.split(" ").filter((word) => word !== "")),
  ),
].sort();
