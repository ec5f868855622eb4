import type { Evaluation } from "../caption/evaluate.ts";
import { table } from "../core/format.ts";
import { scoreRows, scoringTerms, scoreWarnings, showLengths, type ScoreRow } from "./scores.ts";

/** Scores side by side: one column, or one for each language. */
export interface ScoreTable {
  /** Over the columns of values. */
  readonly headings: readonly string[];
  readonly rows: readonly (Pick<ScoreRow, "name" | "definition"> & { readonly values: readonly string[] })[];
}

/** How a language is called where people read: `de` for `<de>`. */
export function languageName(tag: string): string {
  return tag.replace(/[<>]/g, "");
}

export function scoreTable(evaluations: readonly Evaluation[]): ScoreTable {
  const columns = evaluations.map(({ scores }) => scoreRows(scores));
  const rows = new Map(columns.flat().map((row) => [row.name, row]));
  return {
    headings: evaluations.map(({ language }) => (language === null ? "Value" : languageName(language))),
    rows: Array.from(rows.values(), ({ name, definition }) => ({ name, definition, values: columns.map((column) => column.find((row) => row.name === name)?.value ?? "–") })),
  };
}

/** The table for the terminal. */
export function showEvaluations(evaluations: readonly Evaluation[]): string[] {
  const { headings, rows } = scoreTable(evaluations);
  const lines = rows.map(({ name, values }) => [`  ${name}`, ...values]);
  return table(evaluations.length === 1 ? lines : [["", ...headings], ...lines]);
}

/** How many captions have which length, after an empty line; under its name where there are several languages. */
export function showAllLengths(evaluations: readonly Evaluation[]): string[] {
  return evaluations.flatMap(({ language, scores }) => ["", ...(language === null ? [] : [languageName(language)]), ...showLengths(scores)]);
}

/** How the scores were made, see {@link scoringTerms}; where that differs between languages, one after the other. */
export function evaluationTerms(evaluations: readonly Evaluation[], split: string, decoding: string): string {
  const terms = evaluations.map(({ scores }) => scoringTerms(scores, split, decoding));
  if (evaluations[0].language === null) return terms[0];
  const names = evaluations.map(({ language }) => languageName(language ?? ""));
  return new Set(terms).size === 1 ? `languages ${names.join(", ")}: ${terms[0]}` : terms.map((line, i) => `${names[i]}: ${line}`).join("; ");
}

/** What to beware of, see {@link scoreWarnings}, and which pictures are not in the scores. */
export function evaluationWarnings(evaluations: readonly Evaluation[], pictures: number): string[] {
  return evaluations.flatMap(({ language, scores }) => {
    const name = language === null ? "" : `${languageName(language)}: `;
    const left = pictures - scores.images;
    return [...(left === 0 ? [] : [`${left} of ${pictures} pictures have no caption in this language and are not scored`]), ...scoreWarnings(scores)].map((line) => `${name}${line}`);
  });
}
