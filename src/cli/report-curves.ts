import type { MetricsHistory } from "../caption/run-log.ts";
import type { Recipe } from "../caption/recipe.ts";
import { percent } from "../core/format.ts";
import type { ReportCurves } from "./report-page.ts";

/** Points of a curve: more than a screen has columns helps nobody. */
const MAX_POINTS = 1200;

/** The smoothed training loss is the mean over this many steps before and after. */
const SMOOTHING = 8;

const DIGITS = 5;

/** Losses and learning rates of a run; null where there are too few steps for a curve. */
export function curvesOf({ steps, validations }: MetricsHistory, recipe: Recipe): ReportCurves | null {
  if (steps.length < 2) return null;
  const validationAt = new Map(validations.map((validation) => [validation.step, validation]));
  const learned = steps.filter(({ reward }) => reward === undefined); // what follows learns from rewards, whose loss is no cross-entropy
  const drawn = smooth(steps.slice(learned.length).map(({ reward = 0 }) => reward));
  const smoothed = smooth(learned.map(({ loss }) => loss));
  const points = steps.map(({ step, loss, lr }, i) => {
    const { validationLoss = null, validationReward = null } = validationAt.get(step) ?? {};
    return { step, lr, loss: i < learned.length ? loss : null, smoothed: smoothed[i] ?? null, validation: validationLoss, drawn: drawn[i - learned.length] ?? null, best: validationReward };
  });
  const every = Math.ceil(points.length / MAX_POINTS);
  const kept = points.filter(({ validation }, i) => i % every === 0 || i === points.length - 1 || validation !== null);
  const round = (value: number | null): number | null => (value === null ? null : Number(value.toPrecision(DIGITS)));
  return {
    steps: kept.map(({ step }) => step),
    loss: kept.map(({ loss }) => round(loss)),
    smoothed: kept.map((point) => round(point.smoothed)),
    validation: kept.map(({ validation }) => round(validation)),
    rate: kept.map(({ lr }) => round(lr)),
    rewards: drawn.length === 0 ? null : { drawn: kept.map((point) => round(point.drawn)), validation: kept.map(({ best }) => round(best)) },
    stages: stagesOf(steps, recipe),
    remark: wordingRemark(recipe.text.firstCaption),
  };
}

function smooth(values: readonly number[]): number[] {
  return values.map((_, i) => {
    const reach = Math.min(SMOOTHING, i, values.length - 1 - i);
    const near = values.slice(i - reach, i + reach + 1);
    return near.reduce((sum, value) => sum + value, 0) / near.length;
  });
}

/** Where stages end, each by the last step before; the first needs no mark. */
function stagesOf(steps: MetricsHistory["steps"], { training }: Recipe): ReportCurves["stages"] {
  const last = steps.at(-1)!;
  const second = steps.find(({ epoch }) => epoch === 2);
  const perEpoch = second === undefined ? last.step : second.step - 1;
  let end = 0;
  const frozen = training.stages.map(({ epochs }, i) => {
    end += epochs;
    const next = training.stages.at(i + 1);
    return { step: Math.ceil(end * perEpoch), label: next === undefined ? "all parts are trained" : `${next.parts.join(" and ")} alone` };
  });
  const captions = steps.filter(({ reward }) => reward === undefined);
  const rewarded = { step: captions.at(-1)?.step ?? 0, label: "texts are drawn, and those with a higher CIDEr-D become likelier" };
  return [...frozen, rewarded].filter(({ step }) => step < last.step);
}

/** The first caption alone at first: the loss jumps where the other wordings come in. */
function wordingRemark(firstCaption: number): string {
  return firstCaption > 0 && firstCaption < 1 ? `The first ${percent(firstCaption)} of the steps hear one wording a picture, the rest hear all of them, as validation always does.` : "";
}
