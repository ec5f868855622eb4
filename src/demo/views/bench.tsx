import "../style/bench.css";
import { useEffect, useRef, useState } from "preact/hooks";
import { counted } from "../../core/format.ts";
import { callback, remote } from "../../web/remote.ts";
import type { ViewProps } from "../app.tsx";
import { adapterFacts } from "../bench/facts.ts";
import { digits, jsonOf, markdownOf, type BenchReport } from "../bench/report.ts";
import { BenchTable } from "../bench/rows.tsx";
import type { BenchEvent, BenchRow, BenchService, Scope } from "../bench/service.ts";
import { messageOf } from "../message.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { Notice } from "../parts/notice.tsx";
import { ProgressBar } from "../parts/progress-bar.tsx";
import { startWorker } from "../start-worker.ts";

/** A run's course. */
type Phase = "before" | "running" | "stopped" | "done" | "failed";

type Rates = NonNullable<BenchReport["peak"]>;
type Measuring = Extract<BenchEvent, { kind: "measuring" }>;

/** What this device's figures are: measured on demand, a row at a time, in a worker of its own. */
export function BenchView({ adapter }: ViewProps) {
  const [gpu, setGpu] = useState<GPUAdapter | null>(null);
  useEffect(() => void navigator.gpu.requestAdapter({ powerPreference: "high-performance" }).then(setGpu), []);
  const { phase, measuring, peak, rows, problem, start, stop } = useBench();
  const facts = adapterFacts(adapter, gpu);
  const isRunning = phase === "running";
  const report: BenchReport = { date: new Date(), browser: navigator.userAgent, facts, peak, rows };
  return (
    <div class="wide bench">
      <h1>How fast is this device?</h1>
      <p class="lead">The kernels that caption and train, measured one by one on your graphics processor: how long each takes, and how near it comes to the best that this device can do.</p>
      <section class="card bench-controls" aria-label="Measure">
        <div class="row">
          <button class="primary" type="button" disabled={isRunning} onClick={() => void start("quick")}>Measure</button>
          <button type="button" disabled={isRunning} onClick={() => void start("all")}>Measure everything</button>
          <button type="button" disabled={!isRunning} onClick={stop}>Stop</button>
          <span class="spacer" />
          <CopyButton label="Copy as Markdown" text={rows.length === 0 ? "" : markdownOf(report)} />
          <CopyButton label="Copy as JSON" text={rows.length === 0 ? "" : jsonOf(report)} />
        </div>
        <div class="bench-progress">
          {isRunning && measuring !== null
            ? <ProgressBar label={measuring.what} share={measuring.done / measuring.total} detail={`${measuring.done} of ${measuring.total}`} />
            : <p class="quiet">{statusOf(phase, rows)}</p>}
        </div>
        <p class="for-readers" role="status">{phase === "before" ? "" : statusOf(phase, rows)}</p>
      </section>
      {problem !== null && <Notice kind="error">{problem}</Notice>}
      <div class="bench-columns">
        <dl class="bench-peaks card" aria-label="Peaks">
          <Peak title="Arithmetic at best" value={peak === null ? null : digits(peak.flops / 1e9)} unit="GFLOP/s" />
          <Peak title="Memory at best" value={peak === null ? null : digits(peak.bandwidth / 1e9)} unit="GB/s" />
        </dl>
        <section class="bench-words" aria-label="What the numbers mean">
          <p><strong>GFLOP/s</strong> are billions of multiplications and additions a second. <strong>GB/s</strong> are billions of bytes that are read and written in a second. Some kernels wait for <span class="key arithmetic">arithmetic</span>, others for <span class="key memory">memory</span>; each is counted in what it waits for.</p>
          <p><strong>Peak</strong> is what this device reached just now in a loop that does nothing else. A bar at 50 % means: half of what is possible here. More than 100 % means that the data stayed in caches, which are faster than memory. <em>Backward</em> is the part that training needs in addition.</p>
        </section>
      </div>
      <section class="card bench-facts">
        <h2>This device</h2>
        <dl>{facts.map(({ name, value }) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
      </section>
      {rows.length > 0 && <section aria-label="Measurements" class="bench-results"><BenchTable rows={rows} /></section>}
    </div>
  );
}

function statusOf(phase: Phase, rows: readonly BenchRow[]): string {
  const measured = `${counted(rows.length, "measurement")} in the table below.`;
  const texts: Readonly<Record<Phase, string>> = {
    before: "Measure takes twelve operations, as models use them; measure everything takes all of them, at all sizes, and much longer. Close other tabs that draw or play.",
    running: "Measuring.",
    stopped: `Stopped: ${measured}`,
    done: `Done: ${measured}`,
    failed: "",
  };
  return texts[phase];
}

/** A run in a worker; each has a worker of its own, which ends with it. */
function useBench() {
  const [phase, setPhase] = useState<Phase>("before");
  const [measuring, setMeasuring] = useState<Measuring | null>(null);
  const [peak, setPeak] = useState<Rates | null>(null);
  const [rows, setRows] = useState<readonly BenchRow[]>([]);
  const [problem, setProblem] = useState<string | null>(null);
  const current = useRef<Worker | null>(null);

  const end = (how: Phase): void => {
    current.current?.terminate();
    current.current = null;
    setPhase(how);
  };
  const start = async (scope: Scope): Promise<void> => {
    setPhase("running");
    setMeasuring(null);
    setPeak(null);
    setRows([]);
    setProblem(null);
    const worker = startWorker("bench-worker.js");
    current.current = worker;
    const take = (event: BenchEvent): void => {
      if (current.current !== worker) return; // on its way when the run was stopped
      if (event.kind === "measuring") setMeasuring(event);
      else if (event.kind === "peak") setPeak(event.peak);
      else setRows((before) => [...before, event.row]);
    };
    const broken = new Promise<never>((_, reject) => worker.addEventListener("error", () => reject(new Error("the part of the page that measures could not be loaded (reload the page)"))));
    try {
      await Promise.race([remote<BenchService>(worker).run(scope, callback(take)), broken]);
      end("done");
    } catch (error) {
      setProblem(messageOf(error));
      end("failed");
    }
  };
  return { phase, measuring, peak, rows, problem, start, stop: () => end("stopped") };
}

function Peak({ title, value, unit }: { readonly title: string; readonly value: string | null; readonly unit: string }) {
  return <div><dt>{title}</dt><dd><strong class="numbers">{value ?? "–"}</strong> {unit}</dd></div>;
}
