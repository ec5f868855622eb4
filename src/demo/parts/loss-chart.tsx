import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "preact/hooks";
import type uPlot from "uplot";
import { mendLocale } from "../../core/locale.ts";

interface LossChartProps {
  readonly steps: readonly { readonly step: number; readonly loss: number }[];
  readonly validations: readonly { readonly step: number; readonly validationLoss: number }[];
}

/** Milliseconds between two drawings: more often nobody sees it. */
const DRAW_EVERY = 350;

/** The heavy line is the mean over so many steps before and after. */
const SMOOTHING = 8;

const HEIGHT = 280;
const LOW_HEIGHT = 210;
const NARROW = 560; // pixels; below it the chart is lower

/** The course of a run's loss, drawn while it grows: each step thin, their mean heavy, validations as points. */
export function LossChart({ steps, validations }: LossChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef<uPlot.AlignedData>([[], [], [], []]);
  const drawn = useRef(0);
  latest.current = dataOf(steps, validations);

  useEffect(() => {
    const place = holder.current!;
    const theme = matchMedia("(prefers-color-scheme: dark)");
    const recolour = (): void => chart.current?.redraw(false);
    const resize = new ResizeObserver(() => place.clientWidth > 0 && chart.current?.setSize(sizeOf(place)));
    let gone = false;
    mendLocale();
    void import("uplot").then(({ default: UPlot }) => {
      if (gone) return;
      chart.current = new UPlot(optionsOf(place), latest.current, place);
      resize.observe(place);
    });
    theme.addEventListener("change", recolour);
    return () => {
      gone = true;
      theme.removeEventListener("change", recolour);
      resize.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);

  useEffect(() => {
    const draw = (): void => {
      drawn.current = performance.now();
      chart.current?.setData(latest.current);
    };
    const timer = setTimeout(draw, Math.max(0, DRAW_EVERY - (performance.now() - drawn.current)));
    return () => clearTimeout(timer);
  }, [steps, validations]);

  const last = steps.at(-1);
  const said = last === undefined ? "no steps yet" : `from ${steps[0].loss.toFixed(2)} at step ${steps[0].step} to ${last.loss.toFixed(2)} at step ${last.step}`;
  return (
    <div class="loss-chart">
      <div ref={holder} class="loss-plot" role="img" aria-label={`Chart of the loss: ${said}`} />
      <p class="loss-legend small" aria-hidden="true"><span class="each">each step</span><span class="mean">mean</span><span class="held">validation pictures</span></p>
    </div>
  );
}

function dataOf(steps: LossChartProps["steps"], validations: LossChartProps["validations"]): uPlot.AlignedData {
  const at = new Map(validations.map(({ step, validationLoss }) => [step, validationLoss]));
  const sums = [0]; // of all losses before
  for (const { loss } of steps) sums.push(sums.at(-1)! + loss);
  const smooth = steps.map((_, i) => {
    const [from, to] = [Math.max(0, i - SMOOTHING), Math.min(steps.length, i + SMOOTHING + 1)];
    return (sums[to] - sums[from]) / (to - from);
  });
  return [steps.map(({ step }) => step), steps.map(({ loss }) => loss), smooth, steps.map(({ step }) => at.get(step) ?? null)];
}

function sizeOf(place: HTMLElement): { readonly width: number; readonly height: number } {
  return { width: place.clientWidth, height: place.clientWidth < NARROW ? LOW_HEIGHT : HEIGHT };
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function optionsOf(place: HTMLElement): uPlot.Options {
  const axis = { stroke: () => colour("soft"), grid: { stroke: () => colour("line"), width: 1 }, ticks: { stroke: () => colour("line"), width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
  return {
    ...sizeOf(place),
    scales: { x: { time: false, range: (_, least, most) => [least ?? 0, Math.max(most ?? 0, (least ?? 0) + 10)] }, y: { range: (_, __, most) => [0, (most || 1) * 1.05] } },
    cursor: { show: false },
    legend: { show: false },
    axes: [{ ...axis, size: 34 }, { ...axis, size: 44 }],
    series: [
      {},
      { stroke: () => colour("accent"), alpha: 0.4, width: 1, points: { show: false } },
      { stroke: () => colour("accent"), width: 2.5, points: { show: false } },
      { stroke: () => colour("second"), paths: () => null, points: { show: true, size: 9, fill: () => colour("second") } },
    ],
  };
}
