import { useEffect, useRef, useState } from "preact/hooks";
import { counted, duration, significant, thousands } from "../../core/format.ts";
import { LossChart } from "../parts/loss-chart.tsx";
import { Notice } from "../parts/notice.tsx";
import { ProgressBar } from "../parts/progress-bar.tsx";
import type { Course } from "./course.ts";
import { RunActions } from "./run-actions.tsx";
import { Samples } from "./samples.tsx";
import type { TrainingState } from "./use-training.ts";

/** Milliseconds between two reports to screen readers. */
const SAY_EVERY = 30_000;

const NOTES_SHOWN = 8;

const HEADINGS: Readonly<Record<Course["status"], string>> = {
  preparing: "Getting ready",
  training: "Training",
  pausing: "Pausing after this step",
  paused: "Paused",
  complete: "Done",
  early: "Done: nothing got better any more",
  failed: "Stopped",
};

/** The run at work: how far it is, its loss, and what it says of a few pictures. */
export function AtWork({ training, course }: { readonly training: TrainingState; readonly course: Course }) {
  const { status, run, facts, now, steps, validations, samples, saved, error } = course;
  const stored = training.runs.find(({ name }) => name === run?.name);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    if (status === "preparing" || status === "pausing") heading.current?.focus(); // the button that was pressed is gone, or rests
  }, [status]);
  return (
    <section class="card train-work" aria-labelledby="train-work-heading">
      <div class="train-work-top">
        <div>
          <h2 id="train-work-heading" ref={heading} tabIndex={-1}>{HEADINGS[status]}</h2>
          <p class="quiet small">{facts === null ? " " : `${run!.system}, ${thousands(facts.parameters)} weights, ${thousands(facts.vocabulary)} words. ${run!.about}.`}</p>
        </div>
        <div class="row">
          {training.isAtWork
            ? <button type="button" disabled={status !== "training"} onClick={() => training.pause()}>Pause</button>
            : stored !== undefined && !stored.complete && <button type="button" class="primary" onClick={() => training.resume(stored.name)}>Resume</button>}
        </div>
      </div>
      {error !== null && <Notice kind="error">{error}{saved !== null && ` The last checkpoint is of step ${thousands(saved)}.`}</Notice>}
      <Progress course={course} />
      <dl class="train-numbers numbers">
        <Figure name="Loss" value={now === null ? "–" : now.loss.toFixed(3)} />
        <Figure name="Validation loss" value={validations.length === 0 ? "–" : validations.at(-1)!.validationLoss.toFixed(3)} />
        <Figure name="Epoch" value={now === null ? "–" : `${now.epoch} of ${now.epochs}`} />
        <Figure name="Pictures a second" value={now === null ? "–" : significant(Number(now.picturesPerSecond.toPrecision(3)))} />
        <Figure name="Time left" value={now === null || !training.isAtWork ? "–" : duration(now.secondsLeft)} />
      </dl>
      <LossChart steps={steps} validations={validations} />
      <Samples samples={samples} />
      {facts !== null && facts.notes.length > 0 && (
        <details class="small">
          <summary>{counted(facts.notes.length, "note")} about the pictures</summary>
          <ul>{facts.notes.slice(0, NOTES_SHOWN).map((note) => <li key={note}>{note}</li>)}</ul>
        </details>
      )}
      {stored !== undefined && !training.isAtWork && <RunActions run={stored} training={training} />}
      <p class="quiet small">{saved === null ? "Nothing is saved yet; the first checkpoint comes within half a minute of training." : `Saved on this device up to step ${thousands(saved)}.`}</p>
      <Spoken course={course} />
    </section>
  );
}

function Progress({ course: { preparing, now, run, status } }: { readonly course: Course }) {
  if (preparing !== null) {
    const { what, done, total } = preparing;
    return <ProgressBar label={what.charAt(0).toUpperCase() + what.slice(1)} share={total === 0 ? undefined : done / total} detail={total === 0 ? "" : `${thousands(done)} of ${thousands(total)}`} />;
  }
  const [step, steps] = now === null ? [run?.step ?? 0, run?.steps ?? 0] : [now.step, now.steps];
  return <ProgressBar label="Steps" share={steps === 0 ? (status === "preparing" ? undefined : 0) : step / steps} detail={steps === 0 ? "" : `${thousands(step)} of ${thousands(steps)}`} />;
}

function Figure({ name, value }: { readonly name: string; readonly value: string }) {
  return <div><dt>{name}</dt><dd>{value}</dd></div>;
}

/** Tells screen readers how it goes: at each change of state, and now and then. */
function Spoken({ course }: { readonly course: Course }) {
  const latest = useRef(course);
  latest.current = course;
  const [said, setSaid] = useState("");
  useEffect(() => {
    const say = (): void => {
      const { status, now } = latest.current;
      setSaid(now === null ? HEADINGS[status] : `${HEADINGS[status]}: step ${now.step} of ${now.steps}, loss ${now.loss.toFixed(2)}${status === "training" ? `, about ${duration(now.secondsLeft)} left` : ""}`);
    };
    say();
    const timer = setInterval(say, SAY_EVERY);
    return () => clearInterval(timer);
  }, [course.status]);
  return <p class="for-readers" role="status">{said}</p>;
}
