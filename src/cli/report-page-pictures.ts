/** The parts of the report that show pictures. */

import { wordsOf } from "../data/vocabulary.ts";
import { definitions, escapeHtml } from "./report-html.ts";

/** What was said of a picture, in one language. */
export interface ReportCaption {
  /** Empty where there is one language alone. */
  readonly language: string;
  readonly text: string;
  /** The reference that is nearest to it. */
  readonly reference: string;
  readonly right: boolean;
  /** Names and values; the one that pictures are ordered by stands first. */
  readonly scores: readonly (readonly [name: string, value: string])[];
}

/** A picture as the report shows it. */
export interface ReportPicture {
  readonly name: string;
  /** A data URI. */
  readonly source: string;
  readonly captions: readonly ReportCaption[];
  /** Whether it shows something that training left out on purpose. */
  readonly heldOut: boolean;
}

export interface ReportPictures {
  readonly heading: string;
  readonly about: string;
  /** What is counted as right: "right" or "word for word". */
  readonly rightMeans: string;
  readonly wrongMeans: string;
  /** The best, the worst and the others; a heading may be empty where there is one group alone. */
  readonly groups: readonly { readonly heading: string; readonly shown: readonly ReportPicture[] }[];
}

/** A word, and the picture as it was looked at before the word was said. */
export interface ReportWord {
  readonly text: string;
  /** A data URI. */
  readonly source: string;
  /** In words: "top left". */
  readonly place: string;
}

export interface ReportAttention {
  readonly about: string;
  readonly pictures: readonly {
    readonly name: string;
    readonly source: string;
    /** Why this one is shown. */
    readonly chosen: string;
    readonly words: readonly ReportWord[];
    /** Words of the text that are not shown. */
    readonly more: number;
  }[];
}

export function picturesSection({ heading, about, rightMeans, wrongMeans, groups }: ReportPictures): string {
  const shown = groups.flatMap((group) => group.shown);
  const count = (test: (picture: ReportPicture) => boolean): number => shown.filter(test).length;
  const filters = [
    { id: "all", label: "all", number: shown.length },
    { id: "wrong", label: wrongMeans, number: count((picture) => !isRight(picture)) },
    { id: "right", label: rightMeans, number: count(isRight) },
    { id: "held-out", label: "unseen pairs", number: count(({ heldOut }) => heldOut) },
  ].filter(({ id, number }) => id === "all" || (number > 0 && number < shown.length));
  const buttons = (filters.length === 1 ? [] : filters).map(({ id, label, number }) => `<button type="button" data-filter="${id}" aria-pressed="${id === "all"}">${escapeHtml(label)} <span>${number}</span></button>`);
  const grids = groups.map((group) => `<div class="group">${group.heading === "" ? "" : `<h3>${escapeHtml(group.heading)}</h3>`}
<ul class="grid">
${group.shown.map((picture) => figure(picture, rightMeans, wrongMeans)).join("\n")}
</ul></div>`);
  return `<section aria-labelledby="pictures">
<div class="bar"><h2 id="pictures">${escapeHtml(heading)}</h2><div class="choices" id="filters" role="group" aria-label="Which pictures to show" hidden>${buttons.join("")}</div></div>
<p class="about">${escapeHtml(about)}</p>
${grids.join("\n")}
<p class="more" id="more" hidden><button type="button">show more</button></p>
</section>`;
}

function isRight({ captions }: ReportPicture): boolean {
  return captions.every(({ right }) => right);
}

function figure(picture: ReportPicture, rightMeans: string, wrongMeans: string): string {
  const { name, source, captions, heldOut } = picture;
  const right = isRight(picture);
  const means = escapeHtml(right ? rightMeans : wrongMeans);
  const mark = `<span class="mark ${right ? "ok" : "off"}" title="${means}">${right ? "✓" : "✗"}<span class="unseen"> ${means}</span></span>`;
  return `<li class="${right ? "right" : "wrong"}${heldOut ? " held-out" : ""}"><figure>
<div class="picture"><img src="${source}" alt="${escapeHtml(`${name}; reference: ${captions[0].reference}`)}">${mark}${heldOut ? '<span class="tag">unseen pair</span>' : ""}</div>
<figcaption>${captions.map(captionLines).join("")}<p class="name">${escapeHtml(name)}</p></figcaption>
</figure></li>`;
}

function captionLines({ language, text, reference, right, scores }: ReportCaption): string {
  const said = text === "" ? "(nothing)" : text;
  const tongue = language === "" ? "" : `<span class="tongue">${escapeHtml(language)}</span> `;
  const [[name, value]] = scores;
  return `<p class="caption">${tongue}${right ? escapeHtml(said) : markDifferences(said, reference)}</p>${sameWords(said, reference) ? "" : `<p class="reference"><span>reference</span> ${escapeHtml(reference)}</p>`}<details class="scores"><summary>${escapeHtml(name)} ${escapeHtml(value)}</summary>${definitions(scores.slice(1))}</details>`;
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

export function attentionSection({ about, pictures }: ReportAttention): string {
  const items = pictures.map(({ name, source, chosen, words, more }) => `<li class="card looked"><figure><img src="${source}" alt="${escapeHtml(name)}"><figcaption>${escapeHtml(chosen)}<br>${escapeHtml(name)}</figcaption></figure>
<ol>${words.map(wordItem).join("")}${more === 0 ? "" : `<li class="rest">and ${more} more ${more === 1 ? "word" : "words"}</li>`}</ol></li>`);
  return `<section aria-labelledby="looked">
<h2 id="looked">Where it looked</h2>
<p class="about">${escapeHtml(about)}</p>
<ul class="lookings">
${items.join("\n")}
</ul>
</section>`;
}

function wordItem({ text, source, place }: ReportWord): string {
  return `<li><img src="${source}" alt="${escapeHtml(`looked mostly ${place}`)}" title="${escapeHtml(place)}"><span>${escapeHtml(text)}</span></li>`;
}
