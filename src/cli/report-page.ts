import type { ScoreTable } from "./evaluations.ts";
import { definitions, embedJson, escapeHtml, sentence } from "./report-html.ts";
import { attentionSection, picturesSection, type ReportAttention, type ReportPictures } from "./report-page-pictures.ts";

/** A number that is worth a large letter. */
export interface ReportTile {
  readonly label: string;
  readonly value: string;
  readonly detail: string;
}

/** A caption and of how many pictures it is said. */
export interface SaidCaption {
  readonly caption: string;
  readonly count: number;
}

/** What to see before anything else: that a model says the same of many pictures. */
export interface ReportAlarm {
  readonly heading: string;
  readonly captions: readonly SaidCaption[];
}

/** Bars with a name and a count each. */
export interface ReportBars {
  readonly heading: string;
  /** Over names and counts. */
  readonly columns: readonly [string, string];
  readonly bars: readonly (readonly [name: string, count: number])[];
}

/** Losses and learning rates over steps: columns of equal length, null where a step has no such value. */
export interface ReportCurves {
  readonly steps: readonly number[];
  readonly loss: readonly (number | null)[];
  readonly smoothed: readonly (number | null)[];
  readonly validation: readonly (number | null)[];
  readonly rate: readonly (number | null)[];
  /** CIDEr-D of the texts that were drawn, smoothed, and of the likeliest ones at validations; null where no rewards were learned from. */
  readonly rewards: { readonly drawn: readonly (number | null)[]; readonly validation: readonly (number | null)[] } | null;
  /** Where another stage of the training begins, and what it trains. */
  readonly stages: readonly { readonly step: number; readonly label: string }[];
  /** What else explains the curves' shape; may be empty. */
  readonly remark: string;
}

export interface ReportContents {
  readonly title: string;
  readonly summary: string;
  readonly alarms: readonly ReportAlarm[];
  /** What a reader must know to judge the scores. */
  readonly notices: readonly string[];
  readonly tiles: readonly ReportTile[];
  readonly pictures: ReportPictures;
  /** Null for a captioner that does not look at places. */
  readonly attention: ReportAttention | null;
  readonly captions: { readonly about: string; readonly charts: readonly ReportBars[] };
  readonly scores: { readonly terms: string; readonly table: ScoreTable };
  readonly curves: ReportCurves | null;
  /** How it was made: headings with names and values. */
  readonly facts: { readonly about: string; readonly lists: readonly { readonly heading: string; readonly entries: readonly (readonly [string, string])[] }[] };
  /** All settings of the run, as in its config.json. */
  readonly settings: string | null;
  readonly command: string;
  readonly version: string;
  readonly created: string;
}

/** Style and script of the page, which are part of it: it loads nothing. */
export interface PageAssets {
  readonly style: string;
  readonly script: string;
}

const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** The report as one file of HTML. */
export function renderReport(contents: ReportContents, { style, script }: PageAssets): string {
  const { title, summary, alarms, notices, tiles, pictures, attention, captions, scores, curves, version, created } = contents;
  const sections = [
    picturesSection(pictures),
    attention === null ? "" : attentionSection(attention),
    captionsSection(captions),
    scoresSection(scores),
    curves === null ? "" : curvesSection(curves),
    factsSection(contents),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeHtml(title)} · sightline</title>
<style>${style}</style>
</head>
<body>
<header class="wide">
<p class="brand">${LOGO} sightline</p>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(summary)}</p>
${alarms.map(alarm).join("\n")}
${notices.map((notice) => `<p class="notice">${escapeHtml(sentence(notice))}</p>`).join("\n")}
</header>
<main class="wide">
<ul class="tiles">
${tiles.map(({ label, value, detail }) => `<li><span class="label">${escapeHtml(label)}</span><strong>${escapeHtml(value)}</strong><span class="detail">${escapeHtml(detail)}</span></li>`).join("\n")}
</ul>
${sections.join("\n")}
</main>
<footer class="wide"><p>Written by sightline ${escapeHtml(version)} on ${escapeHtml(created)}. This page needs no network.</p></footer>
<script>${script}</script>
</body>
</html>
`;
}

const LOGO = `<svg viewBox="0 0 32 20" width="32" height="20" aria-hidden="true"><path d="M2 10C7 3 25 3 30 10C25 17 7 17 2 10Z" fill="none" stroke="currentColor" stroke-width="2"/><circle cx="16" cy="10" r="4" fill="currentColor"/></svg>`;

function alarm({ heading, captions }: ReportAlarm): string {
  const lines = captions.map(({ caption, count }) => `<li><b>${count} ×</b> ${escapeHtml(caption === "" ? "(nothing)" : caption)}</li>`);
  return `<div class="alarm" role="note"><p>${escapeHtml(heading)}</p><ul>${lines.join("")}</ul></div>`;
}

function captionsSection({ about, charts }: ReportContents["captions"]): string {
  return `<section aria-labelledby="said">
<h2 id="said">What it says</h2>
<p class="about">${escapeHtml(about)}</p>
<div class="charts">
${charts.map(barChart).join("\n")}
</div>
</section>`;
}

/** A table whose counts have bars, so that it reads without eyes as well. */
function barChart({ heading, columns, bars }: ReportBars): string {
  const most = bars.reduce((greatest, [, count]) => Math.max(greatest, count), 1);
  const rows = bars.map(([name, count]) => `<tr><th scope="row">${escapeHtml(name)}</th><td><span class="bar-of" style="width:${count === 0 ? 0 : Math.max(1, (100 * count) / most).toFixed(1)}%"></span></td><td>${count}</td></tr>`);
  return `<div class="card"><table class="bars"><caption>${escapeHtml(heading)}</caption><thead class="unseen"><tr><th scope="col">${escapeHtml(columns[0])}</th><td></td><th scope="col">${escapeHtml(columns[1])}</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`;
}

function scoresSection({ terms, table: { headings, rows } }: ReportContents["scores"]): string {
  const lines = rows.map(({ name, values, definition }) => `<tr><th scope="row">${escapeHtml(name)}</th>${values.map((value) => `<td class="value">${escapeHtml(value)}</td>`).join("")}<td>${escapeHtml(definition)}</td></tr>`);
  return `<section aria-labelledby="scores">
<h2 id="scores">Scores</h2>
<p class="about">${escapeHtml(sentence(terms))}</p>
<div class="card scroll" tabindex="0" role="region" aria-labelledby="scores"><table${headings.length === 1 ? ' class="plain-scores"' : ""}><thead><tr><th scope="col">Score</th>${headings.map((heading) => `<th scope="col">${escapeHtml(heading)}</th>`).join("")}<th scope="col">What it means</th></tr></thead><tbody>
${lines.join("\n")}
</tbody></table></div>
</section>`;
}

function curvesSection(curves: ReportCurves): string {
  const validated = curves.steps.flatMap((step, i) => (curves.validation[i] === null ? [] : [[step, curves.validation[i]] as const]));
  const rows = validated.map(([step, loss]) => `<tr><td>${step}</td><td>${loss?.toFixed(4)}</td></tr>`).join("");
  const [first, last] = [curves.smoothed[0], curves.smoothed.findLast((loss) => loss !== null)];
  const stages = curves.stages.map(({ step, label }) => ` From step ${step + 1}: ${sentence(label)}`).join("");
  const about = `Cross-entropy a word, over ${curves.steps.at(-1)} steps. Training went from ${first?.toFixed(2)} to ${last?.toFixed(3)}.${stages}${curves.remark === "" ? "" : ` ${curves.remark}`}`;
  return `<section aria-labelledby="curves">
<div class="bar"><h2 id="curves">Training</h2><div class="choices" id="scales" role="group" aria-label="Scale of the loss" hidden><button type="button" data-scale="linear" aria-pressed="true">linear</button><button type="button" data-scale="log" aria-pressed="false">logarithmic</button></div></div>
<p class="about">${escapeHtml(about)}</p>
<div class="card plots"><h3>Loss</h3>
<div id="chart" role="img" aria-label="${escapeHtml(`Loss curves. ${about} The table below has the validation losses.`)}"></div>
${curves.rewards === null ? "" : `<h3>Reward</h3>\n<div id="rewards" role="img" aria-label="${escapeHtml(rewardLabel(curves.rewards))}"></div>\n`}<h3>Learning rate</h3>
<div id="rates" role="img" aria-label="${escapeHtml(rateLabel(curves))}"></div></div>
<script type="application/json" id="curve-data">${embedJson(curves)}</script>
<details><summary>Validation losses as a table</summary><table class="numbers"><thead><tr><th scope="col">Step</th><th scope="col">Validation loss</th></tr></thead><tbody>${rows}</tbody></table></details>
</section>`;
}

function rewardLabel({ drawn, validation }: NonNullable<ReportCurves["rewards"]>): string {
  const last = (values: readonly (number | null)[]): string => values.findLast((value) => value !== null)?.toFixed(3) ?? "unknown";
  return `CIDEr-D at the end: ${last(drawn)} of the texts that were drawn, ${last(validation)} of the likeliest ones at validation.`;
}

function rateLabel({ rate }: ReportCurves): string {
  const rates = rate.filter((value) => value !== null);
  const most = rates.reduce((greatest, value) => Math.max(greatest, value), 0);
  return `Learning rate, at most ${most}, ${rates.at(-1) ?? 0} at the end.`;
}

function factsSection({ facts: { about, lists }, settings, command }: ReportContents): string {
  const cards = lists.map(({ heading, entries }) => `<div class="card"><h3>${escapeHtml(heading)}</h3>${definitions(entries)}</div>`);
  const all = settings === null ? "" : `\n<details><summary>All settings (config.json)</summary><pre class="card"><code>${escapeHtml(settings)}</code></pre></details>`;
  return `<section aria-labelledby="made">
<h2 id="made">How it was made</h2>
<p class="about">${escapeHtml(sentence(about))}</p>
<pre class="card"><code>${escapeHtml(command)}</code></pre>
<div class="facts">
${cards.join("\n")}
</div>${all}
</section>`;
}
