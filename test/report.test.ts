import { describe, expect, test } from "vitest";
import { embedJson, escapeHtml, renderReport, type ReportContents, type ReportPicture } from "../src/cli/report-page.ts";

const HOSTILE = `</script><script>alert("x")</script> & 'quotes'`;

const picture = (some: Partial<ReportPicture>): ReportPicture => ({
  name: "a.jpg",
  source: "data:image/jpeg;base64,AAAA",
  caption: "a small red circle",
  reference: "a small red circle",
  right: true,
  heldOut: false,
  ...some,
});

const contents = (some: Partial<ReportContents> = {}): ReportContents => ({
  title: "Captions for scenes",
  summary: "A summary.",
  notices: ["mind this"],
  tiles: [{ label: "Every fact right", value: "95.7 %", detail: "287 of 300" }],
  curves: { steps: [1, 2], loss: [3, 2], smoothed: [3, 2.5], validation: [null, 2.25], remark: "" },
  pictures: {
    heading: "Pictures",
    about: "Two pictures.",
    rightMeans: "right",
    wrongMeans: "wrong",
    shown: [picture({}), picture({ name: "b.jpg", caption: "a small blue circle", right: false, heldOut: true })],
  },
  scores: { terms: "2 pictures, 5 references each", rows: [{ name: "BLEU-4", value: "12.0 %", definition: "What it is." }] },
  facts: { about: "two pictures", lists: [{ heading: "Run", entries: [["speed", "12 pictures/s"]] }] },
  command: "sightline train",
  version: "1.2.3",
  created: "2026-01-02 03:04 UTC",
  ...some,
});

const ASSETS = { style: "body{margin:0}", script: "console.log(1)" };
const page = (some?: Partial<ReportContents>): string => renderReport(contents(some), ASSETS);

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
    const hostile = page({
      title: HOSTILE,
      summary: HOSTILE,
      notices: [HOSTILE],
      tiles: [{ label: HOSTILE, value: HOSTILE, detail: HOSTILE }],
      pictures: { heading: HOSTILE, about: HOSTILE, rightMeans: HOSTILE, wrongMeans: HOSTILE, shown: [picture({ name: HOSTILE, caption: HOSTILE, reference: HOSTILE, right: false }), picture({ name: HOSTILE, caption: HOSTILE, reference: "other" })] },
      scores: { terms: HOSTILE, rows: [{ name: HOSTILE, value: HOSTILE, definition: HOSTILE }] },
      facts: { about: HOSTILE, lists: [{ heading: HOSTILE, entries: [[HOSTILE, HOSTILE]] }] },
      command: HOSTILE,
      version: HOSTILE,
      created: HOSTILE,
    });
    expect(hostile).not.toContain("alert(\"x\")");
    expect(hostile.match(/<script/g)).toHaveLength(2); // the curves' data and the page's own script
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
      else if (closed === "" && !["meta", "img"].includes(name)) open.push(name);
    }
    expect(open).toEqual([]);
    const ids = [...bare.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of bare.matchAll(/aria-labelledby="([^"]+)"/g)) expect(ids).toContain(id);
  });

  test("has one first heading, second ones for each part, and a text for each picture", () => {
    expect(page().match(/<h1>/g)).toHaveLength(1);
    expect([...page().matchAll(/<h2[^>]*>([^<]+)</g)].map(([, text]) => text)).toEqual(["Loss", "Pictures", "Scores", "How it was made"]);
    expect(page().match(/<img [^>]*alt="[^"]+"/g)).toHaveLength(2);
  });

  test("marks right and wrong captions, and the words that are wrong", () => {
    expect(page()).toContain('<li class="right">');
    expect(page()).toContain('<li class="wrong held-out">');
    expect(page()).toContain("a small <mark>blue</mark> circle");
    expect(page()).toContain('data-filter="wrong" aria-pressed="false">wrong <span>1</span>');
  });

  test("without curves there is no part for them", () => {
    expect(page({ curves: null })).not.toContain('id="chart"');
  });
});
