/** Published weights that have a short name: `weights/manifest.json`, which becomes part of the bundle. */

import { distance } from "../../core/distance.ts";
import manifest from "../../../weights/manifest.json" with { type: "json" };

/** A file of a published model. What is not known here comes from the server at the time of the download. */
export interface PublishedFile {
  /** Below the repository or the address. */
  readonly path: string;
  /** Bytes. */
  readonly size?: number;
  /** Lower-case hexadecimal. */
  readonly sha256?: string;
}

/** Weights that can be had by a short name. */
export interface PublishedModel {
  readonly name: string;
  readonly about: string;
  /** The models of `src/models` that take these weights. */
  readonly fits: readonly string[];
  /** An SPDX identifier. */
  readonly licence: string;
  /** A repository of the Hugging Face endpoint … */
  readonly repo?: string;
  /** … and the state of it: a commit, or a branch where no commit is known. */
  readonly revision?: string;
  /** Or an address that ends in a slash, below which the files lie. */
  readonly url?: string;
  readonly files: readonly PublishedFile[];
}

export const PUBLISHED: readonly PublishedModel[] = manifest.models;

/** Up to three of the names that a mistyped one may stand for, the nearest first. */
export function nearNames(typed: string, names: readonly string[]): string[] {
  const text = typed.toLowerCase().slice(0, 100);
  const near = names.map((name) => ({ name, far: name.includes(text) || text.includes(name) ? 1 : distance(text, name.toLowerCase()) }));
  return near.filter(({ name, far }) => far <= Math.max(2, name.length / 3)).toSorted((a, b) => a.far - b.far).slice(0, 3).map(({ name }) => name);
}
