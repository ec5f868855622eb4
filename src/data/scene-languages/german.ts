import type { Colour, ObjectFacts, Shape, Size } from "../scene-facts.ts";
import type { SceneLanguage } from "../scene-wording.ts";

type Gender = "masculine" | "neuter";
type Case = "nominative" | "accusative" | "dative";

const NOUNS: Readonly<Record<Shape, { readonly noun: string; readonly gender: Gender }>> = {
  ring: { noun: "Ring", gender: "masculine" },
  square: { noun: "Quadrat", gender: "neuter" },
  triangle: { noun: "Dreieck", gender: "neuter" },
  cross: { noun: "Kreuz", gender: "neuter" },
};

const ADJECTIVES: Readonly<Record<Size | Colour, string>> = {
  small: "klein",
  large: "groß",
  red: "rot",
  orange: "orangefarben",
  yellow: "gelb",
  green: "grün",
  blue: "blau",
  purple: "violett",
};

/** The indefinite article and the ending that adjectives have after it. */
const ENDINGS: Readonly<Record<Gender, Readonly<Record<Case, readonly [article: string, ending: string]>>>> = {
  masculine: { nominative: ["ein", "er"], accusative: ["einen", "en"], dative: ["einem", "en"] },
  neuter: { nominative: ["ein", "es"], accusative: ["ein", "es"], dative: ["einem", "en"] },
};

const PRONOUNS: Readonly<Record<Gender, { readonly it: string; readonly which: string }>> = {
  masculine: { it: "er", which: "der" },
  neuter: { it: "es", which: "das" },
};

/** Article, size, colour, noun: "ein kleiner roter Ring". */
const phraseIn = (grammaticalCase: Case) => ({ size, colour, shape }: ObjectFacts): string => {
  const { noun, gender } = NOUNS[shape];
  const [article, ending] = ENDINGS[gender][grammaticalCase];
  return `${article} ${ADJECTIVES[size]}${ending} ${ADJECTIVES[colour]}${ending} ${noun}`;
};

export const GERMAN: SceneLanguage = {
  forms: {
    phrase: phraseIn("nominative"),
    accusative: phraseIn("accusative"),
    dative: phraseIn("dative"),
    noun: ({ shape }: ObjectFacts) => `ein ${NOUNS[shape].noun}`,
    theSame: ({ shape }: ObjectFacts) => `demselben ${NOUNS[shape].noun}`,
    it: ({ shape }: ObjectFacts) => PRONOUNS[NOUNS[shape].gender].it,
    which: ({ shape }: ObjectFacts) => PRONOUNS[NOUNS[shape].gender].which,
    traits: ({ size, colour }: ObjectFacts) => `${ADJECTIVES[size]} und ${ADJECTIVES[colour]}`,
  },
  relations: {
    of: { "left of": "links von", "right of": "rechts von", above: "über", below: "unter" }, // the dative follows
    its: { "left of": "links davon", "right of": "rechts davon", above: "darüber", below: "darunter" },
    at: { "left of": "links", "right of": "rechts", above: "oben", below: "unten" },
  },
  captions: [
    [
      "{A}",
      "es gibt {A accusative}",
      "das Bild zeigt {A accusative}",
      "{A} für sich allein",
      "nichts als {A}",
    ],
    [
      "{A} ist {A of B} {B dative}",
      "es gibt {A accusative} {A of B} {B dative}",
      "{A} mit {B dative} {B its A}",
      "{A at B} ist {A} und {B at A} ist {B}",
      "das Bild zeigt {A accusative} und {B its A} {B accusative}",
    ],
    [
      "{A} ist {A of B} {B dative} {B which} {B of C} {C dative} ist",
      "es gibt {A accusative} {A of B} {B dative} mit {C dative} {C its B}",
      "{A} mit {B dative} {B its A} {B which} {C its B} {C accusative} hat",
      "{A} ist {A of B} {B dative} und {C} ist {C of B} {B theSame}",
      "das Bild zeigt {A accusative} und {B its A} {B accusative} mit {C dative} {C its B}",
    ],
  ],
  stories: [
    [
      "auf dem Bild ist eine Figur. es ist {A}.",
      "das Bild zeigt {A accusative}. sonst ist nichts darauf.",
      "hier ist {A noun}. {A it} ist {A traits}.",
    ],
    [
      "es gibt {A accusative}. {B its A} ist {B}.",
      "das Bild zeigt zwei Figuren. {A at B} ist {A}. {B at A} ist {B}.",
      "zuerst kommt {A}. dann kommt {B}. die erste Figur ist {A of B} der zweiten.",
    ],
    [
      "es gibt {A accusative}. {B its A} ist {B}. {C its B} ist {C}.",
      "das Bild zeigt drei Figuren. {A} ist {A of B} {B dative}. {C} ist {C of B} {B theSame}.",
      "zuerst kommt {A}. dann kommt {B} und danach {C}. die erste Figur ist {A of B} der zweiten. die dritte ist {C of B} der zweiten.",
    ],
  ],
};
