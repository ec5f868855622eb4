import { describe, expect, test } from "vitest";
import type { Evaluation } from "../src/caption/evaluate.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { scoreCaptions, type CaptionToScore } from "../src/caption/scoring.ts";
import { evaluationTerms, evaluationWarnings, scoreTable, showEvaluations } from "../src/cli/evaluations.ts";
import { alarmsOf, captionCharts } from "../src/cli/report-captions.ts";
import { curvesOf } from "../src/cli/report-curves.ts";
import { embedJson, escapeHtml } from "../src/cli/report-html.ts";
import type { ReportCaption, ReportPicture } from "../src/cli/report-page-pictures.ts";
import { renderReport, type ReportContents } from "../src/cli/report-page.ts";
import { rank, showPictures, spread } from "../src/cli/report-pictures.ts";
import type { PictureSet } from "../src/data/pictures.ts";

const HOSTILE = `</script><script>alert("x")</script> & 'quotes'`;

const caption = (some: Partial<ReportCaption>): ReportCaption => ({ language: "", text: "a small red circle", reference: "a small red circle", right: true, scores: [["CIDEr-D", "3.21"], ["BLEU-1", "75.0 %"]], ...some });
const picture = (some: Partial<ReportPicture>): ReportPicture => ({ name: "a.jpg", source: "data:image/jpeg;base64,AAAA", captions: [caption({})], heldOut: false, ...some });

const contents = (some: Partial<ReportContents> = {}): ReportContents => ({
  title: "Captions for scenes",
  summary: "A summary.",
  alarms: [{ heading: "The same caption for every picture, all 9 of them.", captions: [{ caption: "a dog", count: 9 }] }],
  notices: ["mind this"],
  tiles: [{ label: "Every fact right", value: "95.7 %", detail: "287 of 300" }],
  pictures: {
    heading: "Pictures",
    about: "Two pictures.",
    rightMeans: "right",
    wrongMeans: "wrong",
    groups: [
      { heading: "Best by CIDEr-D", shown: [picture({})] },
      { heading: "Worst by CIDEr-D", shown: [picture({ name: "b.jpg", captions: [caption({ text: "a small blue circle", right: false })], heldOut: true })] },
    ],
  },
  attention: { about: "Bright is where it looked.", pictures: [{ name: "a.jpg", source: "data:image/jpeg;base64,AAAA", chosen: "evenly chosen", words: [{ text: "red", source: "data:image/jpeg;base64,AAAA", place: "on the left" }], more: 3 }] },
  captions: { about: "Two captions.", charts: [{ heading: "Words a caption", columns: ["Words", "Captions"], bars: [["4", 2], ["5", 0]] }] },
  scores: { terms: "2 pictures, 5 references each", table: { headings: ["Value"], rows: [{ name: "BLEU-4", values: ["12.0 %"], definition: "What it is." }] } },
  curves: { steps: [1, 2], loss: [3, 2], smoothed: [3, 2.5], validation: [null, 2.25], rate: [0.1, 0.2], rewards: { drawn: [null, 1], validation: [null, 2] }, stages: [{ step: 1, label: "all parts are trained" }], remark: "" },
  facts: { about: "two pictures", lists: [{ heading: "Run", entries: [["speed", "12 pictures/s"]] }] },
  settings: '{"seed": 1}',
  command: "sightline train",
  version: "1.2.3",
  created: "2026-01-02 03:04 UTC",
  ...some,
});

const ASSETS = { style: "body{margin:0}", script: "console.log(1)" };
const page = (some?: Partial<ReportContents>): string => renderReport(contents(some), ASSETS);

/** The same value with every text in it replaced, but for data URIs. */
function hostile<T>(value: T): T {
  if (typeof value === "string") return (value.startsWith("data:") ? value : HOSTILE) as T;
  if (Array.isArray(value)) return value.map(hostile) as T;
  return typeof value === "object" && value !== null ? (Object.fromEntries(Object.entries(value).map(([key, part]) => [key, hostile(part as unknown)])) as T) : value;
}

describe("escaping", () => {
  test("turns every special character into its number", () => {
    expect(escapeHtml(`<a href="x" id='y'>&`)).toBe("&#60;a href=&#34;x&#34; id=&#39;y&#39;&#62;&#38;");
  });

  test("data cannot end its script element, and reads back the same", () => {
    const text = embedJson({ text: HOSTILE });
    expect(text).not.toContain("<");
    expect(JSON.parse(text)).toEqual({ text: HOSTILE });
  });

  test("no text from outside becomes markup, wherever it stands", () => {
    const made = page(hostile(contents()));
    expect(made).not.toContain('alert("x")');
    expect(made.match(/<script/g)).toHaveLength(2); // the curves' data and the page's own script
    expect(made.match(/alert\(/g)!.length).toBeGreaterThan(30); // each text stands there, escaped
  });
});

describe("the page", () => {
  test("loads nothing, and says so to the browser", () => {
    expect(page()).toContain(`content="default-src 'none'; img-src data:;`);
    expect(page()).not.toMatch(/(src|href|action)="(?!data:)/);
    expect(page()).not.toMatch(/https?:|url\(|@import|<link/);
  });

  test("is well-formed: every element that is opened is closed, in order", () => {
    const bare = page().replace(/<(script|style)\b[^>]*>.*?<\/\1>/gs, "").replace("<!doctype html>", "");
    const open: string[] = [];
    for (const [, slash, name, closed] of bare.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*?(\/?)>/g)) {
      if (slash !== "") expect(open.pop()).toBe(name);
      else if (closed === "" && !["meta", "img", "br"].includes(name)) open.push(name);
    }
    expect(open).toEqual([]);
    const ids = [...bare.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of bare.matchAll(/aria-labelledby="([^"]+)"/g)) expect(ids).toContain(id);
  });

  test("has one first heading, second ones for each part, and a text for each picture", () => {
    expect(page().match(/<h1>/g)).toHaveLength(1);
    expect([...page().matchAll(/<h2[^>]*>([^<]+)</g)].map(([, text]) => text)).toEqual(["Pictures", "Where it looked", "What it says", "Scores", "Training", "How it was made"]);
    expect(page().match(/<img /g)).toHaveLength(4);
    expect(page().match(/<img [^>]*alt="[^"]+"/g)).toHaveLength(4);
  });

  test("marks right and wrong captions, and the words that are wrong", () => {
    expect(page()).toContain('<li class="right">');
    expect(page()).toContain('<li class="wrong held-out">');
    expect(page()).toContain("a small <mark>blue</mark> circle");
    expect(page()).toContain('data-filter="wrong" aria-pressed="false">wrong <span>1</span>');
  });

  test("shows at once where all captions are the same, before the tiles", () => {
    const alarm = page().indexOf("The same caption for every picture");
    expect(alarm).toBeGreaterThan(0);
    expect(alarm).toBeLessThan(page().indexOf('class="tiles"'));
    expect(page()).toContain("<b>9 ×</b> a dog");
    expect(page({ alarms: [] })).not.toContain('class="alarm"');
  });

  test("each caption has its scores behind the one that decides the order", () => {
    expect(page()).toMatch(/<summary>CIDEr-D 3\.21<\/summary><dl><div><dt>BLEU-1<\/dt><dd>75\.0 %<\/dd>/);
  });

  test("says where a stage begins, and has the settings folded", () => {
    expect(page()).toContain("From step 2: All parts are trained.");
    expect(page()).toMatch(/<details><summary>All settings \(config\.json\)<\/summary><pre class="card"><code>\{&#34;seed/);
  });

  test("leaves out what there is not", () => {
    const bare = page({ curves: null, attention: null, settings: null });
    for (const part of ['id="chart"', 'id="looked"', "config.json"]) expect(bare).not.toContain(part);
    expect(page({ curves: { ...contents().curves!, rewards: null } })).not.toContain('id="rewards"');
  });
});

/** An evaluation of captions, each against its references. */
function evaluation(captions: readonly (readonly [caption: string, ...references: string[]])[], language: string | null = null): Evaluation {
  const pictures: CaptionToScore[] = captions.map(([said, ...references], i) => ({ name: `${i}.png`, caption: said, references }));
  const { scores, byImage } = scoreCaptions(pictures);
  return { language, scores, pictures: pictures.map((one, index) => ({ ...one, index, ids: [], scores: byImage[index] })) };
}

const GOOD = evaluation([["a red ring", "a red ring", "one ring"], ["a blue cross", "a green square"], ["two small dogs run", "two dogs run", "dogs"], ["a cat sleeps", "a cat sleeps here"]]);

describe("order of the pictures", () => {
  test("by CIDEr-D, the best first; the mean where there are several languages", () => {
    const { by, pictures } = rank([GOOD]);
    expect(by).toBe("CIDEr-D");
    const found = pictures.map(({ said }) => said[0].scores.cider);
    expect(found).toEqual(found.toSorted((a, b) => b - a));
    expect(pictures.at(-1)!.index).toBe(1);
    const german = evaluation([["ein Hund", "eine Katze"], ["ein rotes Haus", "ein rotes Haus"], ["zwei", "drei"], ["vier", "fünf"]], "<de>");
    const both = rank([{ ...GOOD, language: "<en>" }, german]);
    expect(both.pictures[0].said.map(({ language }) => language)).toEqual(["<en>", "<de>"]);
    const means = both.pictures.map(({ said }) => (said[0].scores.cider + said[1].scores.cider) / 2);
    expect(means).toEqual(means.toSorted((a, b) => b - a));
  });

  test("by METEOR where CIDEr-D is the same for all, as for one picture", () => {
    expect(rank([evaluation([["a red ring", "a red ring"]])]).by).toBe("METEOR");
  });

  const many = evaluation(Array.from({ length: 20 }, (_, i) => [`a thing ${i % 7 === 0 ? "wrong" : i}`, `a thing ${i}`] as const));
  const set = (side: number): PictureSet => ({
    length: 20,
    name: (index) => `${index}.png`,
    captions: () => [],
    fitted: () => Promise.reject(new Error("not asked for")),
    shown: async () => ({ width: side, height: side, data: Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 7919) % 251) }),
  });

  test("best, worst, and the others in order: each picture once", async () => {
    const { groups, about } = await showPictures(set(2), rank([many]));
    expect(groups.map(({ heading, shown }) => [heading, shown.length])).toEqual([["Best by CIDEr-D", 6], ["Worst by CIDEr-D", 6], ["Others", 8]]);
    const names = groups.flatMap(({ shown }) => shown.map(({ name }) => name));
    expect(new Set(names).size).toBe(20);
    expect(groups[1].shown.slice(0, 3).map(({ name }) => name).sort()).toEqual(["0.png", "14.png", "7.png"]);
    expect(about).toContain("20 pictures. Best and worst are by CIDEr-D");
    const others = groups[2].shown.map(({ name }) => parseInt(name, 10));
    expect(others).toEqual(others.toSorted((a, b) => a - b));
  });

  test("one picture alone is neither best nor worst", async () => {
    const { groups } = await showPictures(set(2), rank([evaluation([["a", "a"]])]));
    expect(groups.map(({ heading, shown }) => [heading, shown.length])).toEqual([["", 1]]);
  });

  test("large pictures are fewer, so that the page stays small", async () => {
    const { groups, about } = await showPictures(set(290), rank([many])); // noise: about 150 KB each
    const letters = groups.flatMap(({ shown }) => shown).reduce((sum, { source }) => sum + source.length, 0);
    const count = groups.reduce((sum, { shown }) => sum + shown.length, 0);
    expect(count).toBeLessThan(20);
    expect(letters).toBeGreaterThan(1e6);
    expect(letters).toBeLessThan(2.6e6);
    expect(about).toContain(`${count} pictures of 20: the best, the worst`);
  });

  test("evenly spread ones are in order, and never more than asked for", () => {
    expect(spread([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 3)).toEqual([0, 3, 6]);
    expect(spread([1, 2], 5)).toEqual([1, 2]);
    expect(spread([1, 2], -1)).toEqual([]);
  });
});

describe("what a model says", () => {
  const same = (count: number, others: number): Evaluation => evaluation([...Array.from({ length: count }, () => ["a dog", "a cat sleeps"] as const), ...Array.from({ length: others }, (_, i) => [`a house ${i}`, "a house"] as const)]);

  test.each([[9, 0, "The same caption for every picture, all 9 of them."], [2, 0, "The same caption for every picture, all 2 of them."], [4, 8, "The same caption for 4 of 12 (33.3 %) pictures; 9 different ones in all."]])("the same of %i pictures and others of %i is an alarm", (count, others, heading) => {
    const [alarm] = alarmsOf([same(count, others)]);
    expect(alarm.heading).toBe(heading);
    expect(alarm.captions[0]).toEqual({ caption: "a dog", count });
    expect(evaluationWarnings([same(count, others)], count + others)[0]).toMatch(/^the same caption is said of .*"a dog"$/);
  });

  test.each([[1, 0], [3, 9], [2, 3]])("of %i pictures and others of %i is none", (count, others) => {
    expect(alarmsOf([same(count, others)])).toEqual([]);
  });

  test("lengths and commonest captions, counted", () => {
    const [lengths, commonest] = captionCharts([same(3, 1)]).charts;
    expect(lengths.bars).toEqual([["2", 3], ["3", 1]]);
    expect(commonest.bars).toEqual([["a dog", 3], ["a house 0", 1]]);
  });

  test("many lengths share bars, and no caption is lost", () => {
    const [{ bars }] = captionCharts([evaluation(Array.from({ length: 60 }, (_, i) => [Array.from({ length: i + 1 }, () => "x").join(" "), "x"] as const))]).charts;
    expect(bars.length).toBeLessThanOrEqual(24);
    expect(bars[0][0]).toBe("1 to 3");
    expect(bars.reduce((sum, [, count]) => sum + count, 0)).toBe(60);
  });
});

describe("several languages", () => {
  const both = [{ ...GOOD, language: "<en>" }, evaluation([["ein Hund", "ein Hund", "Hund"], ["Haus", "ein Haus"]], "<de>")];

  test("stand side by side, with their names and terms", () => {
    expect(scoreTable(both).headings).toEqual(["en", "de"]);
    const [header, ...lines] = showEvaluations(both);
    expect(header).toMatch(/^ +en +de$/);
    expect(lines.find((line) => line.includes("word for word"))).toMatch(/^ {2}word for word +1 of 4 \(25.0 %\) +1 of 2 \(50.0 %\)$/);
    expect(evaluationTerms(both, "test", "greedy decoding")).toMatch(/^en: 4 pictures \(test\), 1\.5 references each; greedy decoding; .*; de: 2 pictures/);
    expect(evaluationWarnings(both, 4)).toEqual(["de: 2 of 4 pictures have no caption in this language and are not scored"]);
  });

  test("one language has one column without a name", () => {
    expect(showEvaluations([GOOD])[0]).toMatch(/^ {2}word for word/);
    expect(evaluationTerms([GOOD], "test", "beam of 3")).toMatch(/^4 pictures \(test\), 1\.5 references each; beam of 3; words/);
  });
});

describe("curves", () => {
  const recipe = recipeFor({ system: "storyteller", recipe: "fixed", size: "tiny", pictures: null });
  const steps = (count: number, perEpoch: number, rewardFrom = Infinity) => Array.from({ length: count }, (_, i) => ({ step: i + 1, epoch: Math.floor(i / perEpoch) + 1, loss: 3 - i / count, lr: 0.01, gradientNorm: 1, picturesPerSecond: 9, seconds: i, ...(i >= rewardFrom && { reward: i / 10 }) }));
  const staged = { ...recipe, training: { ...recipe.training, stages: [{ epochs: 1, parts: ["bridge"] }, { epochs: 1.5, parts: ["decoder", "bridge"] }] } };

  test("stages begin after the epochs of those before", () => {
    expect(curvesOf({ steps: steps(40, 10), validations: [] }, staged)!.stages).toEqual([{ step: 10, label: "decoder and bridge alone" }, { step: 25, label: "all parts are trained" }]);
    expect(curvesOf({ steps: steps(20, 10), validations: [] }, staged)!.stages).toEqual([{ step: 10, label: "decoder and bridge alone" }]);
  });

  test("rewards have a curve of their own: their loss is no cross-entropy", () => {
    const curves = curvesOf({ steps: steps(10, 5, 6), validations: [{ step: 10, epoch: 2, validationLoss: 2, validationReward: 0.7, best: true }] }, recipe)!;
    expect(curves.loss.slice(5)).toEqual([2.5, null, null, null, null]);
    expect(curves.rewards!.drawn.slice(5, 7)).toEqual([null, 0.6]);
    expect(curves.rewards!.validation.at(-1)).toBe(0.7);
    expect(curves.stages.at(-1)!.step).toBe(6);
  });

  test("long runs are thinned, and keep the last step and all validations", () => {
    const { steps: kept, validation, rate } = curvesOf({ steps: steps(5000, 100), validations: [{ step: 1234, epoch: 13, validationLoss: 1.5, best: true }] }, recipe)!;
    expect(kept.length).toBeLessThan(1300);
    expect(kept.at(-1)).toBe(5000);
    expect(validation[kept.indexOf(1234)]).toBe(1.5);
    expect(rate.length).toBe(kept.length);
  });

  test("one step is no curve", () => {
    expect(curvesOf({ steps: steps(1, 1), validations: [] }, recipe)).toBeNull();
  });
});
