/** What the report does in a browser: draws the curves of the training and filters the pictures. Bundled into the page by build.mjs. */

import "./report-locale.ts";
import uPlot from "uplot";
import type { ReportCurves } from "./report-page.ts";

const CHART_HEIGHT = 330;
const REWARDS_HEIGHT = 200;
const RATES_HEIGHT = 130;
const FEW_PICTURES = 30;
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

/** What all charts have in common; each has its own height and series. */
function plot(holder: HTMLElement, { stages }: ReportCurves, some: Pick<uPlot.Options, "height" | "scales" | "series">, data: uPlot.AlignedData): uPlot {
  const font = "12px system-ui, sans-serif";
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line"), width: 1, size: 5 }, font };
  const round = (value: number | null): string => (value === null ? "" : String(Number(value.toPrecision(3))));
  const markStages = (chart: uPlot): void => {
    const { ctx, bbox: { left, top, width, height } } = chart;
    const density = devicePixelRatio;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("soft");
    ctx.lineWidth = density;
    ctx.setLineDash([4 * density, 4 * density]);
    ctx.font = `${12 * density}px system-ui, sans-serif`;
    for (const [i, { step }] of stages.entries()) {
      const x = chart.valToPos(step, "x", true);
      const atRight = x > left + width - 40 * density;
      ctx.textAlign = atRight ? "right" : "left";
      ctx.beginPath();
      ctx.moveTo(x, top);
      ctx.lineTo(x, top + height);
      ctx.stroke();
      ctx.fillText(`stage ${i + 2}`, x + (atRight ? -5 : 5) * density, top + 14 * density);
    }
    ctx.restore();
  };
  const options: uPlot.Options = {
    ...some,
    width: holder.clientWidth,
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: "steps" } },
    axes: [
      { ...axis, size: 34 },
      { ...axis, size: 60, values: (_, ticks) => ticks.map(round) },
    ],
    hooks: { draw: [markStages] },
  };
  return new uPlot(options, data, holder);
}

function drawLosses(holder: HTMLElement, curves: ReportCurves, scale: "linear" | "log"): uPlot {
  const shown = (_: uPlot, value: number | null): string => (value === null ? "–" : value.toFixed(4));
  const { steps, loss, smoothed, validation } = curves;
  return plot(
    holder,
    curves,
    {
      height: holder.clientWidth < NARROW ? 240 : CHART_HEIGHT,
      scales: { x: { time: false }, y: scale === "log" ? { distr: 3 } : { range: (_, __, most) => [0, most * 1.05] } },
      series: [
        { label: "step" },
        { label: "training", stroke: () => colour("raw"), width: 1, value: shown, points: { show: false } },
        { label: "training, smoothed", stroke: () => colour("accent"), width: 2, value: shown, points: { show: false } },
        { label: "validation", stroke: () => colour("second"), width: 2, value: shown, spanGaps: true, points: { show: true, size: 7, fill: () => colour("second") } },
      ],
    },
    [[...steps], [...loss], [...smoothed], [...validation]],
  );
}

function drawRates(holder: HTMLElement, curves: ReportCurves): uPlot {
  const shown = (_: uPlot, value: number | null): string => (value === null ? "–" : String(Number(value.toPrecision(3))));
  return plot(
    holder,
    curves,
    {
      height: RATES_HEIGHT,
      scales: { x: { time: false }, y: { range: (_, __, most) => [0, (most || 1) * 1.1] } },
      series: [{ label: "step" }, { label: "learning rate", stroke: () => colour("accent"), width: 2, value: shown, points: { show: false } }],
    },
    [[...curves.steps], [...curves.rate]],
  );
}

function drawRewards(holder: HTMLElement, curves: ReportCurves, { drawn, validation }: NonNullable<ReportCurves["rewards"]>): uPlot {
  const shown = (_: uPlot, value: number | null): string => (value === null ? "–" : value.toFixed(3));
  return plot(
    holder,
    curves,
    {
      height: REWARDS_HEIGHT,
      scales: { x: { time: false }, y: { range: (_, least, most) => [Math.max(0, least * 0.95), most * 1.05] } },
      series: [
        { label: "step" },
        { label: "drawn, smoothed", stroke: () => colour("accent"), width: 2, value: shown, points: { show: false } },
        { label: "likeliest, at validation", stroke: () => colour("second"), width: 2, value: shown, spanGaps: true, points: { show: true, size: 7, fill: () => colour("second") } },
      ],
    },
    [[...curves.steps], [...drawn], [...validation]],
  );
}

function startCharts(): void {
  const losses = document.getElementById("chart");
  const rates = document.getElementById("rates");
  const rewards = document.getElementById("rewards");
  const data = document.getElementById("curve-data")?.textContent;
  if (losses === null || rates === null || !data) return;
  const curves = JSON.parse(data) as ReportCurves;
  let scale: "linear" | "log" = "linear";
  const draw = (): readonly uPlot[] => [
    drawLosses(losses, curves, scale),
    ...(rewards === null || curves.rewards === null ? [] : [drawRewards(rewards, curves, curves.rewards)]),
    drawRates(rates, curves),
  ];
  let charts = draw();
  const redraw = (): void => {
    for (const chart of charts) chart.destroy();
    charts = draw();
  };
  choose("scales", (button) => {
    scale = button.dataset.scale === "log" ? "log" : "linear";
    redraw();
  });
  let width = losses.clientWidth;
  new ResizeObserver(() => {
    if (losses.clientWidth !== width) redraw();
    width = losses.clientWidth;
  }).observe(losses);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const onPaper = (is: boolean): void => {
    document.documentElement.classList.toggle("paper", is);
    redraw();
  };
  addEventListener("beforeprint", () => onPaper(true));
  addEventListener("afterprint", () => onPaper(false));
}

/** Shows the pictures of a class, the first few unless more are asked for; groups without any are hidden. */
function startGrid(): void {
  const groups = [...document.querySelectorAll<HTMLElement>(".group")];
  const pictures = [...document.querySelectorAll<HTMLElement>(".grid > li")];
  const more = document.getElementById("more");
  let [filter, most] = ["all", FEW_PICTURES];
  const show = (): void => {
    const wanted = pictures.filter(({ classList }) => filter === "all" || classList.contains(filter));
    for (const picture of pictures) picture.hidden = true;
    for (const picture of wanted.slice(0, most)) picture.hidden = false;
    for (const group of groups) group.hidden = group.querySelector(".grid > li:not([hidden])") === null;
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
startCharts();
