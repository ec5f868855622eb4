import { readFileSync } from "node:fs";
import script from "page-asset:./report-client.ts";
import style from "page-asset:./report.css";
import type { Captioner } from "../caption/captioner.ts";
import type { Evaluation } from "../caption/evaluate.ts";
import type { Recipe } from "../caption/recipe.ts";
import type { Scores, Share } from "../caption/scoring.ts";
import { fileError, writeFileAtomically } from "../checkpoint/files.ts";
import type { PictureSet } from "../data/pictures.ts";
import type { Device } from "../device/device.ts";
import { languageName, scoreTable } from "./evaluations.ts";
import { counted, duration, percent, thousands } from "../core/format.ts";
import type { MetricsHistory } from "../caption/run-log.ts";
import { readMetrics } from "./metrics-log.ts";
import { showAttention } from "./report-attention.ts";
import { alarmsOf, captionCharts } from "./report-captions.ts";
import { curvesOf } from "./report-curves.ts";
import { factsOf } from "./report-facts.ts";
import { renderReport, type ReportContents, type ReportTile } from "./report-page.ts";
import { rank, showPictures } from "./report-pictures.ts";
import { VERSION } from "./version.ts";

export interface ReportInput {
  readonly device: Device;
  readonly captioner: Captioner;
  /** What the pictures are, in a few words and in a line. */
  readonly data: { readonly name: string; readonly summary: string; readonly set: PictureSet };
  /** One, or one for each language. */
  readonly evaluations: readonly Evaluation[];
  /** How the scores were made, see `evaluationTerms`. */
  readonly terms: string;
  readonly notices: readonly string[];
  readonly timings: readonly (readonly [string, string])[];
  readonly command: string;
  /** Absent where a model was scored and not trained. */
  readonly training?: { readonly metrics: string; readonly config: string; readonly recipe: Recipe };
}

/** Writes `report.html`, of about 4 MB at most. @throws InputError if it cannot be written. */
export async function writeReport(path: string, input: ReportInput): Promise<void> {
  const page = renderReport(await contentsOf(input), { style, script });
  await writeFileAtomically(path, [Buffer.from(page)]);
}

async function contentsOf(input: ReportInput): Promise<ReportContents> {
  const { device, captioner, data, evaluations, terms, notices, command, training } = input;
  const history = training === undefined ? null : readMetrics(training.metrics);
  const ranking = rank(evaluations);
  const trained = history === null ? "" : `, trained for ${duration(history.steps.at(-1)?.seconds ?? 0)} on a ${device.adapter.kind === "software" ? "software" : "hardware"} adapter,`;
  return {
    title: `Captions for ${data.name}`,
    summary: `A model of ${thousands(captioner.model.parameterCount())} weights${trained} gets ${evaluations.map(showRight).join("; ")}.`,
    alarms: alarmsOf(evaluations),
    notices,
    tiles: tilesOf(evaluations, captioner, history),
    pictures: await showPictures(data.set, ranking),
    attention: await showAttention(captioner, data.set, ranking),
    captions: captionCharts(evaluations),
    scores: { terms, table: scoreTable(evaluations) },
    curves: history === null ? null : curvesOf(history, training!.recipe),
    facts: { about: data.summary, lists: factsOf(input, history) },
    settings: training === undefined ? null : readSettings(training.config),
    command,
    version: VERSION,
    created: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
  };
}

/** A run of an older version has no such file. */
function readSettings(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw fileError("read", path, cause);
  }
}

function showRight({ language, scores: { factsRight, factsRightHeldOut, exact } }: Evaluation): string {
  const tongue = language === null ? "" : ` in ${languageName(language)}`;
  if (factsRight === undefined) return `${exact.count} of ${thousands(exact.of)} captions${tongue} word for word as one of the references`;
  const unseen = factsRightHeldOut === undefined || factsRightHeldOut.of === 0 ? "" : `, and ${factsRightHeldOut.count} of ${factsRightHeldOut.of} with colours on shapes that it never saw together`;
  return `every fact${tongue} right in ${factsRight.count} of ${thousands(factsRight.of)} pictures${unseen}`;
}

function tilesOf(evaluations: readonly Evaluation[], captioner: Captioner, history: MetricsHistory | null): ReportTile[] {
  const last = history?.steps.at(-1);
  return [
    ...evaluations.flatMap(({ language, scores }) => scoreTiles(scores, language === null ? "" : ` (${languageName(language)})`)),
    { label: "Model", value: compact(captioner.model.parameterCount()), detail: `weights, ${thousands(captioner.codec.size)} words` },
    ...(last === undefined ? [] : [{ label: "Training", value: duration(last.seconds), detail: counted(last.step, "step") }]),
  ];
}

function scoreTiles({ factsRight, factsRightHeldOut, exact, cider, bleu, distinct, images }: Scores, tongue: string): ReportTile[] {
  const share = (label: string, { count, of }: Share): ReportTile[] => (of === 0 ? [] : [{ label: `${label}${tongue}`, value: percent(count / of), detail: `${thousands(count)} of ${thousands(of)} pictures` }]);
  return [
    ...(factsRight === undefined ? share("Word for word", exact) : [...share("Every fact right", factsRight), ...share("Unseen pairs right", factsRightHeldOut ?? { count: 0, of: 0 })]),
    { label: `CIDEr-D${tongue}`, value: cider.toFixed(2), detail: "of at most 10" },
    { label: `BLEU-4${tongue}`, value: percent(bleu[3]), detail: "up to 4 words" },
    { label: `Distinct captions${tongue}`, value: thousands(distinct), detail: `of ${thousands(images)}` },
  ];
}

function compact(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 1e3 ? `${Math.round(value / 1e3)} k` : String(value);
}
