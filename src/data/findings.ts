/** What a reader mended or left out, said once with its number instead of once a line. */
export interface Finding {
  /** `repaired` is used all the same; `dropped` is not used. */
  readonly kind: "repaired" | "dropped";
  /** The file that it was found in. */
  readonly source: string;
  readonly count: number;
  /** What is counted, in the singular: a line, an image. */
  readonly noun: string;
  /** What about it, so that "2 lines <what>" can be read: "without a caption". */
  readonly what: string;
  /** Where, for the first {@link PLACES_KEPT}: "line 3", "dog.jpg". */
  readonly places: readonly string[];
}

/** Places that a finding names: enough to look, and no memory that grows with a damaged file. */
const PLACES_KEPT = 20;
const NAMES_SHOWN = 3;

/** "photo1.jpg, photo2.jpg, photo3.jpg and 4 more"; `count` where not all names are at hand. */
export function someOf(names: readonly string[], count = names.length): string {
  const shown = names.slice(0, NAMES_SHOWN);
  const more = count - shown.length;
  return shown.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** A finding as one line: "captions.txt: 2 lines without a caption (line 3, line 9): left out". */
export function findingLine({ kind, source, count, noun, what, places }: Finding): string {
  return `${source}: ${count} ${count === 1 ? noun : `${noun}s`} ${what} (${someOf(places, count)})${kind === "dropped" ? ": left out" : ""}`;
}

/** Counts what is found in one file. */
export class Findings {
  private readonly source: string;
  private readonly found = new Map<string, Finding & { count: number; readonly places: string[] }>();

  constructor(source: string) {
    this.source = source;
  }

  repaired(noun: string, what: string, place: string): void {
    this.add("repaired", noun, what, place);
  }

  dropped(noun: string, what: string, place: string): void {
    this.add("dropped", noun, what, place);
  }

  /** In the order of their first places. */
  list(): readonly Finding[] {
    return [...this.found.values()];
  }

  private add(kind: Finding["kind"], noun: string, what: string, place: string): void {
    const key = `${kind} ${noun} ${what}`;
    let finding = this.found.get(key);
    if (finding === undefined) this.found.set(key, (finding = { kind, source: this.source, count: 0, noun, what, places: [] }));
    finding.count++;
    if (finding.places.length < PLACES_KEPT) finding.places.push(place);
  }
}
