import type { ObjectFacts } from "../scene-facts.ts";
import type { SceneLanguage } from "../scene-wording.ts";

export const ENGLISH: SceneLanguage = {
  forms: {
    phrase: ({ size, colour, shape }: ObjectFacts) => `a ${size} ${colour} ${shape}`,
    shape: ({ shape }: ObjectFacts) => shape,
    traits: ({ size, colour }: ObjectFacts) => `${size} and ${colour}`,
  },
  relations: {
    of: { "left of": "to the left of", "right of": "to the right of", above: "above", below: "below" },
    its: { "left of": "to its left", "right of": "to its right", above: "above it", below: "below it" },
    at: { "left of": "on the left", "right of": "on the right", above: "at the top", below: "at the bottom" },
  },
  captions: [
    [
      "{A}",
      "there is {A}",
      "the picture shows {A}",
      "{A} on its own",
      "nothing but {A}",
    ],
    [
      "{A} is {A of B} {B}",
      "there is {A} {A of B} {B}",
      "{A} with {B} {B its A}",
      "{A at B} is {A} and {B at A} is {B}",
      "the picture shows {A} and {B its A} {B}",
    ],
    [
      "{A} is {A of B} {B} which is {B of C} {C}",
      "there is {A} {A of B} {B} with {C} {C its B}",
      "{A} with {B} {B its A} which has {C} {C its B}",
      "{A} is {A of B} {B} and {C} is {C of B} the same {B shape}",
      "the picture shows {A} and {B its A} {B} with {C} {C its B}",
    ],
  ],
  stories: [
    [
      "there is one shape in the picture. it is {A}.",
      "the picture shows {A}. there is nothing else in it.",
      "here is a {A shape}. it is {A traits}.",
    ],
    [
      "there is {A}. {B its A} there is {B}.",
      "the picture shows two shapes. {A at B} there is {A}. {B at A} there is {B}.",
      "first there is {A}. then there is {B}. the first one is {A of B} the second one.",
    ],
    [
      "there is {A}. {B its A} there is {B}. {C its B} there is {C}.",
      "the picture shows three shapes. {A} is {A of B} {B}. {C} is {C of B} the same {B shape}.",
      "first there is {A}. then there is {B} and after it {C}. the first one is {A of B} the second one. the third one is {C of B} the second one.",
    ],
  ],
};
