import type { Evaluation } from "../caption/evaluate.ts";
import { languageName } from "./evaluations.ts";
import { shareOf } from "../core/format.ts";
import type { ReportAlarm, ReportBars, ReportContents, SaidCaption } from "./report-page.ts";
import { scoreWarnings } from "./scores.ts";

/** Captions that are named with their counts. */
const COMMONEST = 6;

/** Bars of the chart of lengths; more lengths than that share bars. */
const MOST_BARS = 24;

/** Where one caption is said of many pictures: the commonest ones, to see at once. */
export function alarmsOf(evaluations: readonly Evaluation[]): ReportAlarm[] {
  return evaluations.filter(({ scores }) => scoreWarnings(scores).length > 0).map(({ language, pictures, scores }) => {
    const { commonest, images, distinct } = scores;
    const tongue = language === null ? "" : ` in ${languageName(language)}`;
    const heading = commonest.count === images ? `The same caption for every picture${tongue}, all ${images} of them.` : `The same caption${tongue} for ${shareOf({ count: commonest.count, of: images })} pictures; ${distinct} different ones in all.`;
    return { heading, captions: commonestOf(pictures).slice(0, COMMONEST) };
  });
}

/** How often what is said, and at what length. */
export function captionCharts(evaluations: readonly Evaluation[]): ReportContents["captions"] {
  const about = evaluations.map(({ language, scores }) => {
    const { distinct, images, lengths } = scores;
    const different = `${shareOf({ count: distinct, of: images })} captions are different ones`;
    return `${language === null ? "" : `${languageName(language)}: `}${different}; ${lengths.mean.toFixed(1)} words a caption, ${lengths.min} to ${lengths.max}.`;
  });
  return { about: about.join(" "), charts: evaluations.flatMap(chartsOf) };
}

function chartsOf({ language, pictures, scores }: Evaluation): ReportBars[] {
  const tongue = language === null ? "" : ` (${languageName(language)})`;
  const commonest = commonestOf(pictures).slice(0, COMMONEST);
  return [
    { heading: `Words a caption${tongue}`, columns: ["Words", "Captions"], bars: lengthBars(scores.lengths.histogram) },
    { heading: `Commonest captions${tongue}`, columns: ["Caption", "Pictures"], bars: commonest.map(({ caption, count }) => [caption === "" ? "(nothing)" : caption, count]) },
  ];
}

function commonestOf(pictures: Evaluation["pictures"]): SaidCaption[] {
  const counts = new Map<string, number>();
  for (const caption of pictures.map((picture) => picture.caption.trim())) counts.set(caption, (counts.get(caption) ?? 0) + 1);
  return Array.from(counts, ([caption, count]) => ({ caption, count })).sort((a, b) => b.count - a.count);
}

/** A bar for each length, those between that do not occur included, or for several neighbours. */
function lengthBars(histogram: Evaluation["scores"]["lengths"]["histogram"]): ReportBars["bars"] {
  const [least, most] = [histogram[0].length, histogram.at(-1)!.length];
  const width = Math.ceil((most - least + 1) / MOST_BARS);
  return Array.from({ length: Math.ceil((most - least + 1) / width) }, (_, i) => {
    const first = least + i * width;
    const inside = histogram.filter(({ length }) => length >= first && length < first + width);
    return [width === 1 ? `${first}` : `${first} to ${first + width - 1}`, inside.reduce((sum, { count }) => sum + count, 0)];
  });
}
