/** What a scene says, in data: objects and how they lie to one another. */

export const SIZES = ["small", "large"] as const;
export const COLOURS = ["red", "orange", "yellow", "green", "blue", "purple"] as const;
export const SHAPES = ["ring", "square", "triangle", "cross"] as const;
export const RELATIONS = ["left of", "right of", "above", "below"] as const;

export type Size = (typeof SIZES)[number];
export type Colour = (typeof COLOURS)[number];
export type Shape = (typeof SHAPES)[number];
export type RelationName = (typeof RELATIONS)[number];

/** What a caption says about one object. */
export interface ObjectFacts {
  readonly size: Size;
  readonly colour: Colour;
  readonly shape: Shape;
}

/** "`subject` is `name` `object`"; both are positions in the list of objects. */
export interface Relation {
  readonly subject: number;
  readonly name: RelationName;
  readonly object: number;
}

/**
 * Everything that a caption states. One object has no relation, two have one, and of three the second is related to the
 * first and to the third.
 */
export interface SceneFacts {
  readonly objects: readonly ObjectFacts[];
  readonly relations: readonly Relation[];
}

/** Every object that there can be. */
export const OBJECTS: readonly ObjectFacts[] = SIZES.flatMap((size) => COLOURS.flatMap((colour) => SHAPES.map((shape) => ({ size, colour, shape }))));

export const INVERSE: Readonly<Record<RelationName, RelationName>> = {
  "left of": "right of",
  "right of": "left of",
  above: "below",
  below: "above",
};

/** How one object lies to another, whichever of the two the facts name first. */
export function relationBetween(facts: SceneFacts, subject: number, object: number): RelationName | undefined {
  for (const relation of facts.relations) {
    if (relation.subject === subject && relation.object === object) return relation.name;
    if (relation.subject === object && relation.object === subject) return INVERSE[relation.name];
  }
  return undefined;
}
