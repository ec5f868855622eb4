/**
 * How a language says facts. A wording is a template; the same template writes a text and reads it, so the two cannot
 * drift apart.
 */

import { OBJECTS, RELATIONS, relationBetween, type ObjectFacts, type Relation, type RelationName, type SceneFacts } from "./scene-facts.ts";

/**
 * A language as data. In a template, A, B and C are the objects in their order in the facts: `{A}` and `{A form}` say an
 * object in one of the `forms` (`{A}` is short for `{A phrase}`), `{A kind B}` says where A is, seen from B, in one of the
 * kinds of `relations`. Templates are listed by the number of objects. All of them mention the objects in the same order:
 * in a trial with mixed orders, a captioner got 44 % of test scenes right where this order gave 66 %.
 */
export interface SceneLanguage {
  /** Words for an object, inflected: `phrase` in a caption that is nothing else, others as a template's grammar asks. */
  readonly forms: Readonly<Record<string, (object: ObjectFacts) => string>> & { readonly phrase: (object: ObjectFacts) => string };
  readonly relations: Readonly<Record<string, Readonly<Record<RelationName, string>>>>;
  readonly captions: readonly (readonly string[])[];
  /** Several sentences each. */
  readonly stories: readonly (readonly string[])[];
}

/** One way of saying facts, for one number of objects. */
export interface Wording {
  write(facts: SceneFacts): string;
  /** The facts, or null where the text is not {@link write}'s, in its capitals or in none, for any facts. */
  read(text: string): SceneFacts | null;
}

export const SLOT = /\{([ABC])(?: (\w+)(?: ([ABC]))?)?\}/g;

interface Slot {
  readonly subject: number;
  readonly kind: string;
  /** Position of the other object where the slot says a relation. */
  readonly object?: number;
}

function slotOf([, subject, kind = "phrase", object]: readonly string[]): Slot {
  const indexOf = (letter: string): number => "ABC".indexOf(letter);
  return { subject: indexOf(subject), kind, object: object === undefined ? undefined : indexOf(object) };
}

/** A wording made of a template. */
export function wordingOf(template: string, { forms, relations }: SceneLanguage): Wording {
  const slots = [...template.matchAll(SLOT)].map(slotOf);
  const write = (facts: SceneFacts): string => {
    let next = 0;
    return template.replace(SLOT, () => {
      const { subject, kind, object } = slots[next++];
      if (object === undefined) return forms[kind](facts.objects[subject]);
      const name = relationBetween(facts, subject, object);
      return name === undefined ? "" : relations[kind][name];
    });
  };
  const meanings = slots.map(({ kind, object }) => (object === undefined ? textsOf(OBJECTS, forms[kind]) : textsOf(RELATIONS, (name) => relations[kind][name])));
  const literals = template.split(/\{[^}]*\}/).map((literal) => literal.toLowerCase().replace(/\./g, "\\."));
  const pattern = new RegExp(`^${literals.map((literal, i) => literal + (i < meanings.length ? `(${[...meanings[i].keys()].join("|")})` : "")).join("")}$`);
  const read = (text: string): SceneFacts | null => {
    const match = pattern.exec(text.toLowerCase());
    const facts = match === null ? null : factsOfSlots(slots, slots.map((_, i) => meanings[i].get(match[i + 1]) ?? []));
    if (facts === null) return null;
    const written = write(facts);
    return written === text || written.toLowerCase() === text ? facts : null;
  };
  return { write, read };
}

/** Of each text, in lower case, what it can mean. */
function textsOf<T>(values: readonly T[], say: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const meanings = new Map<string, T[]>();
  for (const value of values) {
    const text = say(value).toLowerCase();
    meanings.set(text, [...(meanings.get(text) ?? []), value]);
  }
  return meanings;
}

/**
 * An object is the one that all of its slots can mean. Of two slots that relate the same objects the first counts: whoever
 * calls writes the facts again, and sees whether the second agrees.
 */
function factsOfSlots(slots: readonly Slot[], meanings: readonly (readonly (ObjectFacts | RelationName)[])[]): SceneFacts | null {
  const candidates: (readonly ObjectFacts[])[] = [];
  const relations = new Map<string, Relation>();
  slots.forEach(({ subject, object }, i) => {
    if (object === undefined) {
      const meant = meanings[i] as readonly ObjectFacts[];
      candidates[subject] = (candidates[subject] ?? meant).filter((candidate) => meant.includes(candidate));
    } else {
      const pair = [subject, object].sort().join();
      if (!relations.has(pair)) relations.set(pair, { subject, name: meanings[i][0] as RelationName, object });
    }
  });
  if (candidates.some(({ length }) => length !== 1)) return null;
  return { objects: candidates.map(([object]) => object), relations: [...relations.values()] };
}
