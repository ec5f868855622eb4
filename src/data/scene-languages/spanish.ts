import type { Colour, ObjectFacts, Shape, Size } from "../scene-facts.ts";
import type { SceneLanguage } from "../scene-wording.ts";

type Gender = "masculine" | "feminine";

const NOUNS: Readonly<Record<Shape, { readonly noun: string; readonly gender: Gender }>> = {
  ring: { noun: "anillo", gender: "masculine" },
  square: { noun: "cuadrado", gender: "masculine" },
  triangle: { noun: "triángulo", gender: "masculine" },
  cross: { noun: "cruz", gender: "feminine" },
};

const ADJECTIVES: Readonly<Record<Size | Colour, string>> = {
  small: "pequeño",
  large: "grande",
  red: "rojo",
  orange: "naranja",
  yellow: "amarillo",
  green: "verde",
  blue: "azul",
  purple: "morado",
};

/** Only adjectives in -o have another form beside a feminine noun. */
function adjective(word: Size | Colour, gender: Gender): string {
  return gender === "feminine" ? ADJECTIVES[word].replace(/o$/, "a") : ADJECTIVES[word];
}

function noun({ shape }: ObjectFacts): string {
  const { noun: name, gender } = NOUNS[shape];
  return `${gender === "feminine" ? "una" : "un"} ${name}`;
}

/** Noun, colour, size: "un anillo rojo pequeño". */
function phrase(object: ObjectFacts): string {
  const { gender } = NOUNS[object.shape];
  return `${noun(object)} ${adjective(object.colour, gender)} ${adjective(object.size, gender)}`;
}

/** "de" and "el" become one word. */
function ofTheSame({ shape }: ObjectFacts): string {
  const { noun: name, gender } = NOUNS[shape];
  return gender === "feminine" ? `de la misma ${name}` : `del mismo ${name}`;
}

export const SPANISH: SceneLanguage = {
  forms: {
    phrase,
    noun,
    ofTheSame,
    traits: ({ shape, size, colour }: ObjectFacts) => `${adjective(size, NOUNS[shape].gender)} y ${adjective(colour, NOUNS[shape].gender)}`,
  },
  relations: {
    at: { "left of": "a la izquierda", "right of": "a la derecha", above: "arriba", below: "abajo" },
    its: { "left of": "a su izquierda", "right of": "a su derecha", above: "encima", below: "debajo" },
    of: { "left of": "a la izquierda", "right of": "a la derecha", above: "encima", below: "debajo" }, // "de" follows
  },
  captions: [
    [
      "{A}",
      "hay {A}",
      "la imagen muestra {A}",
      "{A} y nada más",
      "nada más que {A}",
    ],
    [
      "{A} está {A of B} de {B}",
      "hay {A} {A of B} de {B}",
      "{A} con {B} {B its A}",
      "{A at B} hay {A} y {B at A} hay {B}",
      "la imagen muestra {A} y {B its A} {B}",
    ],
    [
      "{A} está {A of B} de {B} que está {B of C} de {C}",
      "hay {A} {A of B} de {B} con {C} {C its B}",
      "{A} con {B} {B its A} que tiene {C} {C its B}",
      "{A} está {A of B} de {B} y {C} está {C of B} {B ofTheSame}",
      "la imagen muestra {A} y {B its A} {B} con {C} {C its B}",
    ],
  ],
  stories: [
    [
      "hay una figura en la imagen. es {A}.",
      "la imagen muestra {A}. no hay nada más en ella.",
      "aquí hay {A noun}. es {A traits}.",
    ],
    [
      "hay {A}. {B its A} hay {B}.",
      "la imagen muestra dos figuras. {A at B} hay {A}. {B at A} hay {B}.",
      "primero hay {A}. luego hay {B}. la primera figura está {A of B} de la segunda.",
    ],
    [
      "hay {A}. {B its A} hay {B}. {C its B} hay {C}.",
      "la imagen muestra tres figuras. {A} está {A of B} de {B}. {C} está {C of B} {B ofTheSame}.",
      "primero hay {A}. luego hay {B} y después {C}. la primera figura está {A of B} de la segunda. la tercera está {C of B} de la segunda.",
    ],
  ],
};
