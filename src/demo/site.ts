/** What stands in `site.json` beside the page: the same page is the demo, and what `sightline export` writes. */

import type { SystemName } from "../caption/systems.ts";

/** A checkpoint that is served with the page. */
export interface SiteCaptioner {
  /** Short, as it stands in a list. */
  readonly title: string;
  /** One sentence: what it is made of, what it learned. */
  readonly about: string;
  /** The checkpoint's address, relative to the page. */
  readonly file: string;
  readonly system: SystemName;
  /** Bytes. */
  readonly size: number;
  /** Its model card's address. */
  readonly card: string;
  /** Whether it knows drawn scenes alone: the page then draws some for it. */
  readonly scenes?: boolean;
}

export interface Site {
  /** What is written on top; null for the project's own words. */
  readonly title: string | null;
  /** The first is opened with the page. */
  readonly captioners: readonly SiteCaptioner[];
  /** Which parts the page has beside captioning. */
  readonly parts: readonly ("published" | "train" | "bench")[];
  /** A mirror of the Hugging Face hub for published models. The page's Content-Security-Policy must let it through. */
  readonly hub?: string;
}

/** @throws Error if the file is not there, or is no such description. */
export async function loadSite(): Promise<Site> {
  const response = await fetch("site.json");
  if (!response.ok) throw new Error(`site.json must lie beside this page; the server answered ${response.status}`);
  return (await response.json()) as Site;
}
