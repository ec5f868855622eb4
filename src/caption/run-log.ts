/** The lines of `metrics.jsonl`: a run's course, one JSON object a line. */

import type { StepProgress, ValidationReport } from "./training.ts";

/** A training step. */
export interface StepLine {
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  /** Mean CIDEr-D of the texts that were drawn, where rewards are learned from; the loss is then that of the draws. */
  readonly reward?: number;
  readonly lr: number;
  readonly gradientNorm: number;
  readonly picturesPerSecond: number;
  /** Of training, validation included, up to this step; a resumed run counts on. */
  readonly seconds: number;
}

/** A validation. */
export interface ValidationLine {
  readonly step: number;
  readonly epoch: number;
  readonly validationLoss: number;
  /** CIDEr-D of the likeliest texts, where rewards are learned from. */
  readonly validationReward?: number;
  readonly best: boolean;
}

export type MetricsLine = StepLine | ValidationLine;

export interface MetricsHistory {
  readonly steps: readonly StepLine[];
  readonly validations: readonly ValidationLine[];
}

/** @param seconds Since the run began, see {@link StepLine}. */
export function stepLine({ step, epoch, loss, reward, learningRate, gradientNorm, picturesPerSecond }: StepProgress, seconds: number): StepLine {
  return { step, epoch, loss, ...(reward !== null && { reward }), lr: learningRate, gradientNorm, picturesPerSecond, seconds };
}

export function validationLine({ step, epoch, loss, reward, best }: ValidationReport): ValidationLine {
  return { step, epoch, validationLoss: loss, ...(reward !== null && { validationReward: reward }), best };
}

export function showMetrics(lines: readonly MetricsLine[]): string {
  return lines.map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Reads what {@link showMetrics} wrote. */
export function parseMetrics(text: string): MetricsLine[] {
  const lines: MetricsLine[] = [];
  for (const line of text.split("\n")) {
    try {
      if (line !== "") lines.push(JSON.parse(line) as MetricsLine);
    } catch {
      // a line that a killed run did not finish
    }
  }
  return lines;
}

export function historyOf(lines: readonly MetricsLine[]): MetricsHistory {
  return { steps: lines.filter((line) => "loss" in line), validations: lines.filter((line) => "validationLoss" in line) };
}
