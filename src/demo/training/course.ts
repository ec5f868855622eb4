import type { StepLine, ValidationLine } from "../../caption/run-log.ts";
import type { StepProgress } from "../../caption/training.ts";
import type { Image } from "../../data/image.ts";
import type { RunEnd, RunEvent, RunSummary } from "./service.ts";

/** A validation picture, what is to be said of it, what the model says now, and what it said before. */
export interface ShownSample {
  readonly name: string;
  readonly picture: Image;
  readonly reference: string;
  /** Null before the first validation. */
  readonly caption: string | null;
  readonly before: string | null;
}

/** All that the page shows of the run at work. */
export interface Course {
  readonly status: "preparing" | "training" | "pausing" | RunEnd["state"] | "failed";
  /** Null until it is known. */
  readonly run: RunSummary | null;
  readonly preparing: Extract<RunEvent, { kind: "preparing" }> | null;
  /** Sizes and data, a line each. */
  readonly facts: Pick<Extract<RunEvent, { kind: "begun" }>, "parameters" | "vocabulary" | "data" | "notes"> | null;
  readonly steps: readonly StepLine[];
  readonly validations: readonly ValidationLine[];
  readonly now: StepProgress | null;
  readonly samples: readonly ShownSample[];
  /** The step of the last checkpoint; null before the first. */
  readonly saved: number | null;
  readonly error: string | null;
}

/** A run of which nothing is known yet. */
export const AT_FIRST: Course = { status: "preparing", run: null, preparing: null, facts: null, steps: [], validations: [], now: null, samples: [], saved: null, error: null };

/** What an event makes of a course. */
export function followed(course: Course, event: RunEvent): Course {
  const status = course.status === "pausing" ? "pausing" : "training";
  switch (event.kind) {
    case "preparing":
      return { ...course, preparing: event };
    case "begun": {
      const { run, parameters, vocabulary, data, notes, steps, validations, samples } = event;
      return { ...course, status, run, preparing: null, facts: { parameters, vocabulary, data, notes }, steps, validations, samples: samples.map((sample) => ({ ...sample, caption: null, before: null })), saved: run.step || null };
    }
    case "stepped":
      return { ...course, status, preparing: null, steps: [...course.steps, ...event.steps], now: event.now };
    case "validated": {
      const said = new Map(event.samples.map(({ name, caption }) => [name, caption]));
      const samples = course.samples.map((sample) => ({ ...sample, before: sample.caption, caption: said.get(sample.name) ?? sample.caption }));
      return { ...course, validations: [...course.validations, event.validation], samples };
    }
    case "saved":
      return { ...course, saved: event.step };
    default:
      return event satisfies never;
  }
}

/** The course of a run that came to rest. */
export function ended(course: Course, { state, step }: RunEnd): Course {
  return { ...course, status: state, preparing: null, saved: step };
}
