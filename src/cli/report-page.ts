import { wordsOf } from "../data/vocabulary.ts";
import type { ScoreRow } from "./scores.ts";

/** A test picture as the report shows it. */
export interface ReportPicture {
  readonly name: string;
  /** A data URI. */
  readonly source: string;
  readonly caption: string;
  /** The reference that is nearest to the caption. */
  readonly reference: string;
  readonly right: boolean;
  /** Whether it shows something that training left out on purpose. */
  readonly heldOut: boolean;
}

/** A number that is worth a large letter. */
export interface ReportTile {
  readonly label: string;
  readonly value: string;
  readonly detail: string;
}

/** Losses over steps: columns of equal length, null where a step has no such value. */
export interface ReportCurves {
  readonly steps: readonly number[];
  readonly loss: readonly (number | null)[];
  readonly smoothed: readonly (number | null)[];
  readonly validation: readonly (number | null)[];
  /** What else explains the curves' shape; may be empty. */
  readonly remark: string;
}

export interface ReportContents {
  readonly title: string;
  readonly summary: string;
  /** What a reader must know to judge the scores. */
  readonly notices: readonly string[];
  readonly tiles: readonly ReportTile[];
  readonly curves: ReportCurves | null;
  /** Heading, and what is counted as right: "every fact right" or "word for word". */
  readonly pictures: { readonly heading: string; readonly about: string; readonly rightMeans: string; readonly wrongMeans: string; readonly shown: readonly ReportPicture[] };
  readonly scores: { readonly terms: string; readonly rows: readonly ScoreRow[] };
  /** How it was made: headings with names and values. */
  readonly facts: { readonly about: string; readonly lists: readonly { readonly heading: string; readonly entries: readonly (readonly [string, string])[] }[] };
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

/** Text as it stands in HTML, within elements and quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Data for a script of the page; no text in it can end the script element. */
export function embedJson(value: unknown): string {
  return JSON.stringify(value).replace(/</g, "\\u003c");
}

/** The report as one file of HTML. */
export function renderReport(contents: ReportContents, { style, script }: PageAssets): string {
  const { title, summary, notices, tiles, curves, pictures, scores, facts, command, version, created } = contents;
  const sections = [
    curves === null ? "" : curvesSection(curves),
    picturesSection(pictures),
    scoresSection(scores),
    factsSection(facts, command),
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

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

function curvesSection(curves: ReportCurves): string {
  const validated = curves.steps.flatMap((step, i) => (curves.validation[i] === null ? [] : [[step, curves.validation[i]] as const]));
  const rows = validated.map(([step, loss]) => `<tr><td>${step}</td><td>${loss?.toFixed(4)}</td></tr>`).join("");
  const [first, last] = [curves.smoothed[0], curves.smoothed.at(-1)];
  const about = `Cross-entropy a word, over ${curves.steps.at(-1)} steps. Training fell from ${first?.toFixed(2)} to ${last?.toFixed(3)}.${curves.remark === "" ? "" : ` ${curves.remark}`}`;
  return `<section aria-labelledby="curves">
<div class="bar"><h2 id="curves">Loss</h2><div class="choices" id="scales" role="group" aria-label="Scale of the loss" hidden><button type="button" data-scale="linear" aria-pressed="true">linear</button><button type="button" data-scale="log" aria-pressed="false">logarithmic</button></div></div>
<p class="about">${escapeHtml(about)}</p>
<div id="chart" class="card" role="img" aria-label="${escapeHtml(`Loss curves. ${about} The table below has the validation losses.`)}"></div>
<script type="application/json" id="curve-data">${embedJson(curves)}</script>
<details><summary>Validation losses as a table</summary><table class="numbers"><thead><tr><th scope="col">Step</th><th scope="col">Validation loss</th></tr></thead><tbody>${rows}</tbody></table></details>
</section>`;
}

function picturesSection({ heading, about, rightMeans, wrongMeans, shown }: ReportContents["pictures"]): string {
  const count = (test: (picture: ReportPicture) => boolean): number => shown.filter(test).length;
  const filters = [
    { id: "all", label: "all", number: shown.length },
    { id: "wrong", label: wrongMeans, number: count(({ right }) => !right) },
    { id: "right", label: rightMeans, number: count(({ right }) => right) },
    { id: "held-out", label: "unseen pairs", number: count(({ heldOut }) => heldOut) },
  ].filter(({ id, number }) => id === "all" || (number > 0 && number < shown.length));
  const buttons = (filters.length === 1 ? [] : filters).map(({ id, label, number }) => `<button type="button" data-filter="${id}" aria-pressed="${id === "all"}">${escapeHtml(label)} <span>${number}</span></button>`);
  return `<section aria-labelledby="pictures">
<div class="bar"><h2 id="pictures">${escapeHtml(heading)}</h2><div class="choices" id="filters" role="group" aria-label="Which pictures to show" hidden>${buttons.join("")}</div></div>
<p class="about">${escapeHtml(about)}</p>
<ul class="grid" id="grid">
${shown.map((picture) => figure(picture, rightMeans, wrongMeans)).join("\n")}
</ul>
<p class="more" id="more" hidden><button type="button">show more</button></p>
</section>`;
}

function figure({ name, source, caption, reference, right, heldOut }: ReportPicture, rightMeans: string, wrongMeans: string): string {
  const said = caption === "" ? "(nothing)" : caption;
  const mark = right ? `<span class="mark ok" title="${escapeHtml(rightMeans)}">✓<span class="unseen"> ${escapeHtml(rightMeans)}</span></span>` : `<span class="mark off" title="${escapeHtml(wrongMeans)}">✗<span class="unseen"> ${escapeHtml(wrongMeans)}</span></span>`;
  return `<li class="${right ? "right" : "wrong"}${heldOut ? " held-out" : ""}"><figure>
<div class="picture"><img src="${source}" alt="${escapeHtml(`${name}; reference: ${reference}`)}">${mark}${heldOut ? '<span class="tag">unseen pair</span>' : ""}</div>
<figcaption><p class="caption">${right ? escapeHtml(said) : markDifferences(said, reference)}</p>${sameWords(said, reference) ? "" : `<p class="reference"><span>reference</span> ${escapeHtml(reference)}</p>`}<p class="name">${escapeHtml(name)}</p></figcaption>
</figure></li>`;
}

function sameWords(a: string, b: string): boolean {
  return wordsOf(a).join(" ") === wordsOf(b).join(" ");
}

/** The caption with the words marked that the reference lacks. */
function markDifferences(caption: string, reference: string): string {
  const left = wordsOf(reference);
  const words = caption.split(/\s+/).map((word) => {
    const place = left.indexOf(wordsOf(word).join(" "));
    if (place >= 0) left.splice(place, 1);
    return place >= 0 ? escapeHtml(word) : `<mark>${escapeHtml(word)}</mark>`;
  });
  return words.join(" ");
}

function scoresSection({ terms, rows }: ReportContents["scores"]): string {
  const lines = rows.map(({ name, value, definition }) => `<tr><th scope="row">${escapeHtml(name)}</th><td class="value">${escapeHtml(value)}</td><td>${escapeHtml(definition)}</td></tr>`);
  return `<section aria-labelledby="scores">
<h2 id="scores">Scores</h2>
<p class="about">${escapeHtml(sentence(terms))}</p>
<div class="card scroll" tabindex="0" role="region" aria-labelledby="scores"><table><thead><tr><th scope="col">Score</th><th scope="col">Value</th><th scope="col">What it means</th></tr></thead><tbody>
${lines.join("\n")}
</tbody></table></div>
</section>`;
}

function factsSection({ about, lists }: ReportContents["facts"], command: string): string {
  const cards = lists.map(({ heading, entries }) => `<div class="card"><h3>${escapeHtml(heading)}</h3><dl>${entries.map(([name, value]) => `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`).join("")}</dl></div>`);
  return `<section aria-labelledby="made">
<h2 id="made">How it was made</h2>
<p class="about">${escapeHtml(sentence(about))}</p>
<pre class="card"><code>${escapeHtml(command)}</code></pre>
<div class="facts">
${cards.join("\n")}
</div>
</section>`;
}
