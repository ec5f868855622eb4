/** How texts are asked for, and what is said of them. */

import type { CaptionerFacts, DescribeRequest } from "../../web/service.ts";

/** What people choose. */
export interface SpeechSettings {
  /** As the captioner was made for, by beam search, or words drawn by chance. */
  readonly way: "own" | "beam" | "chance";
  /** Texts that a beam follows at a time. */
  readonly beam: number;
  /** Texts that are shown. */
  readonly candidates: number;
  readonly temperature: number;
  /** The same seed draws the same words. */
  readonly seed: number;
  readonly story: boolean;
  /** A tag such as `<de>`; null for the captioner's first. */
  readonly language: string | null;
}

export const FIRST_SETTINGS: SpeechSettings = { way: "own", beam: 4, candidates: 4, temperature: 1, seed: 0, story: false, language: null };

/** Texts that settings ask for. */
export function candidatesOf({ way, beam, candidates }: SpeechSettings): number {
  if (way === "own") return 1;
  return way === "beam" ? Math.min(beam, candidates) : candidates;
}

/** What a captioner is asked for: settings that it has no use for are left out. */
export function requestOf(settings: SpeechSettings, facts: CaptionerFacts): DescribeRequest {
  const { way, beam, temperature, seed, story, language } = settings;
  return {
    attention: facts.looks,
    ...(facts.tellsStories && { story }),
    ...(language !== null && facts.languages.includes(language) && { language }),
    ...(way === "beam" && { beam, candidates: candidatesOf(settings) }),
    ...(way === "chance" && { sampling: { temperature, seed }, candidates: candidatesOf(settings) }),
  };
}

/** How long a bar each score has: 1 for the best, which is the first. Scores are sums of logarithms, at most 0. */
export function barsOf(scores: readonly number[]): number[] {
  return scores.map((score) => (score === scores[0] ? 1 : scores[0] / score));
}

/** `14 words in 0.3 s, 47 a second`. */
export function paceOf(text: string, milliseconds: number): string {
  const words = text.split(/\s+/).filter((word) => word !== "").length;
  const rate = (1000 * words) / milliseconds;
  const time = milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
  return `${words} ${words === 1 ? "word" : "words"} in ${time}, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a second`;
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", '"': "&quot;", "<": "&lt;", ">": "&gt;" };

/** An image for a web page, with the text as its alternative text. */
export function imageElement(name: string, text: string): string {
  const escaped = (value: string): string => value.replace(/[&"<>]/g, (sign) => ENTITIES[sign]);
  return `<img src="${escaped(name)}" alt="${escaped(text)}">`;
}
