import { InvalidArgumentError, Option } from "commander";
import type { HoldOut } from "../caption/data-choice.ts";
import { TOKENIZER_NAMES } from "../caption/scoring.ts";
import { LANGUAGES, type Language } from "../data/scene-grammar.ts";

/** Readers of option values: each refuses in words that follow "argument 'x' is invalid.". */

export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) throw new InvalidArgumentError(`It must be a whole number ${range}.`);
    return value;
  };
}

/** A number above 0, such as 0.003 or 3e-3. */
export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("It must be a number above 0, such as 0.003.");
  return value;
}

/** A number of at least 0. */
export function atLeastZero(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0) throw new InvalidArgumentError("It must be a number of at least 0, such as 0.7.");
  return value;
}

const UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const;

/** A number of bytes, such as 500MB or 2GB. */
export function byteCount(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([kmgt]?b)$/i.exec(text.trim()) ?? [];
  const bytes = Number(number) * UNITS[(unit ?? "").toUpperCase() as keyof typeof UNITS];
  if (!(bytes >= 1)) throw new InvalidArgumentError("It must be a size such as 500MB or 2GB.");
  return bytes;
}

export function holdOut(text: string): HoldOut {
  const share = Number(text);
  if (text === "published") return text;
  if (text.trim() === "" || !(share >= 0 && share <= 0.4)) throw new InvalidArgumentError('It must be a share from 0 to 0.4, such as 0.1, or "published".');
  return share;
}

/** Languages of scenes, such as `en,de`. */
export function languageList(text: string): readonly Language[] {
  const names = text.split(",").map((name) => name.trim().toLowerCase());
  const wrong = names.find((name) => !LANGUAGES.includes(name as Language));
  if (wrong !== undefined || new Set(names).size < names.length) throw new InvalidArgumentError(`It must be some of ${LANGUAGES.join(", ")}, each once, separated by commas.`);
  return names as Language[];
}

export const SPLITS = ["train", "validation", "test", "all"] as const;
export type EvaluatedSplit = (typeof SPLITS)[number];

/** Of every verb that scores captions. @param usual What is done without it, in words. */
export function tokenizerOption(usual: string): Option {
  return new Option("--tokenizer <name>", `how captions are cut into words: without punctuation, or as coco-caption does (default: ${usual})`).choices(TOKENIZER_NAMES);
}

/** Of every verb that computes. */
export function adapterOption(): Option {
  return new Option("--adapter <kind>", "which adapter computes; auto takes a GPU where there is one").choices(["auto", "hardware", "software"]).default("auto");
}
