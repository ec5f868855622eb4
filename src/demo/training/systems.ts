import type { SystemName } from "../../caption/systems.ts";

/** The systems as they can be chosen, by the names that they have everywhere: the one that learns fastest first. */
export const SYSTEMS: readonly { readonly value: SystemName; readonly title: string; readonly about: string }[] = [
  { value: "storyteller", title: "storyteller", about: "A ResNet sees, an LSTM looks over the picture before each word. The smallest, and the quickest to learn." },
  { value: "encdec", title: "encdec", about: "A ResNet begins the text of an LSTM, which looks at the picture as it goes on." },
  { value: "cross", title: "cross", about: "A ViT and a small GPT-2 that looks at the picture's patches before each word." },
  { value: "story", title: "story", about: "A ResNet's summary of the picture begins a text of a small GPT-2." },
  { value: "prefix", title: "prefix", about: "A ViT's view becomes five first words of a small GPT-2." },
];
