/** What the report does in a browser: draws the loss curves and filters the pictures. Bundled into the page by build.mjs. */

import "./report-locale.ts";
import uPlot from "uplot";
import type { ReportCurves } from "./report-page.ts";

const CHART_HEIGHT = 330;
const FEW_PICTURES = 48;
const NARROW = 560; // pixels; below it the chart is lower

function press(group: HTMLElement, pressed: HTMLButtonElement): void {
  for (const button of group.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === pressed));
}

/** Makes a group of buttons of which one is pressed; without this script it stays hidden. */
function choose(id: string, onChoice: (button: HTMLButtonElement) => void): void {
  const group = document.getElementById(id);
  if (group === null) return;
  group.hidden = false;
  for (const button of group.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      press(group, button);
      onChoice(button);
    });
  }
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function drawCurves(holder: HTMLElement, curves: ReportCurves, scale: "linear" | "log"): uPlot {
  const width = holder.clientWidth - 24;
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
  const round = (value: number | null): string => (value === null ? "" : String(Number(value.toPrecision(3))));
  const shown = (_: uPlot, value: number | null): string => (value === null ? "–" : value.toFixed(4));
  const options: uPlot.Options = {
    width,
    height: width < NARROW ? 240 : CHART_HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: false }, y: scale === "log" ? { distr: 3 } : { range: (_, __, most) => [0, most * 1.05] } },
    axes: [
      { ...axis, size: 34 },
      { ...axis, size: 52, values: (_, ticks) => ticks.map(round) },
    ],
    series: [
      { label: "step" },
      { label: "training", stroke: () => colour("raw"), width: 1, value: shown, points: { show: false } },
      { label: "training, smoothed", stroke: () => colour("accent"), width: 2, value: shown, points: { show: false } },
      { label: "validation", stroke: () => colour("second"), width: 2, value: shown, spanGaps: true, points: { show: true, size: 7, fill: () => colour("second") } },
    ],
  };
  const { steps, loss, smoothed, validation } = curves;
  return new uPlot(options, [[...steps], [...loss], [...smoothed], [...validation]], holder);
}

function startChart(): void {
  const holder = document.getElementById("chart");
  const data = document.getElementById("curve-data")?.textContent;
  if (holder === null || !data) return;
  const curves = JSON.parse(data) as ReportCurves;
  let scale: "linear" | "log" = "linear";
  let chart = drawCurves(holder, curves, scale);
  const redraw = (): void => {
    chart.destroy();
    chart = drawCurves(holder, curves, scale);
  };
  choose("scales", (button) => {
    scale = button.dataset.scale === "log" ? "log" : "linear";
    redraw();
  });
  let width = holder.clientWidth;
  new ResizeObserver(() => {
    if (holder.clientWidth !== width) redraw();
    width = holder.clientWidth;
  }).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const onPaper = (is: boolean): void => {
    document.documentElement.classList.toggle("paper", is);
    redraw();
  };
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
}

/** Shows the pictures of a class, the first few unless more are asked for. */
function startGrid(): void {
  const pictures = [...document.querySelectorAll<HTMLElement>("#grid > li")];
  const more = document.getElementById("more");
  let [filter, most] = ["all", FEW_PICTURES];
  const show = (): void => {
    const wanted = pictures.filter(({ classList }) => filter === "all" || classList.contains(filter));
    for (const picture of pictures) picture.hidden = true;
    for (const picture of wanted.slice(0, most)) picture.hidden = false;
    if (more === null) return;
    more.hidden = wanted.length <= most;
    more.querySelector("button")!.textContent = `show all ${wanted.length}`;
  };
  choose("filters", ({ dataset }) => {
    [filter, most] = [dataset.filter ?? "all", FEW_PICTURES];
    show();
  });
  more?.addEventListener("click", () => {
    most = pictures.length;
    show();
  });
  show();
}

startGrid();
startChart();
