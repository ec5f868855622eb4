/** Learning rates over the steps of a training: pure functions of the step, counted from 0. */

import { InputError } from "../core/errors.ts";

/** The factor of the base learning rate at a step. */
export type Schedule = (step: number) => number;

/** The base learning rate throughout. */
export function constant(): Schedule {
  return () => 1;
}

export interface WarmupCosineOptions {
  /** Steps over which the rate rises: (step + 1) / warmup. */
  readonly warmup: number;
  /** Steps of the whole training. */
  readonly total: number;
  /** Where the cosine ends; default 0. */
  readonly floor?: number;
}

/**
 * A linear rise, then half a cosine down: floor + (1 − floor) · ½(1 + cos(π (step − warmup) / (total − warmup))).
 * @throws InputError unless 0 ≤ warmup ≤ total.
 * Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts.
 */
export function warmupCosine({ warmup, total, floor = 0 }: WarmupCosineOptions): Schedule {
  if (!(warmup >= 0 && warmup <= total)) throw new InputError(`warmupCosine: warmup must be in 0..total; got ${warmup} of ${total}`);
  return (step) => {
    if (step < warmup) return (step + 1) / warmup;
    const progress = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
    return floor + ((1 - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
  };
}

/** `gamma` times as much every `stepSize` steps. Source: torch.optim.lr_scheduler.StepLR. */
export function stepDecay({ stepSize, gamma = 0.1 }: { readonly stepSize: number; readonly gamma?: number }): Schedule {
  if (!(stepSize >= 1)) throw new InputError(`stepDecay: stepSize must be at least 1; got ${stepSize}`);
  return (step) => gamma ** Math.floor(step / stepSize);
}

export interface OneCycleOptions {
  readonly maxLr: number;
  readonly totalSteps: number;
  /** Share of the steps in which the rate rises; default 0.3. */
  readonly pctStart?: number;
  /** The rate starts at maxLr / divFactor; default 25. */
  readonly divFactor?: number;
  /** … and ends at that / finalDivFactor; default 1e4. */
  readonly finalDivFactor?: number;
  readonly anneal?: "cos" | "linear";
  /** Momentum (β₁ of Adam) where the rate is greatest; default 0.85. */
  readonly baseMomentum?: number;
  /** Momentum where the rate is least; default 0.95. */
  readonly maxMomentum?: number;
}

/** Learning rate (not a factor) and momentum at a step. */
export interface OneCycleValue {
  readonly lr: number;
  readonly momentum: number;
}

/**
 * One rise and one fall of the learning rate, and of momentum the other way round.
 * Set `optimizer.lr = lr`, and `betas = [momentum, beta2]` or `momentum` of its groups, before each step.
 * @throws InputError unless totalSteps ≥ 2 and 0 < pctStart < 1, with a rise of at least a step.
 * Source: Smith and Topin 2018, arXiv:1708.07120; the same numbers as torch.optim.lr_scheduler.OneCycleLR.
 */
export function oneCycle(options: OneCycleOptions): (step: number) => OneCycleValue {
  const { maxLr, totalSteps, pctStart = 0.3, divFactor = 25, finalDivFactor = 1e4, anneal = "cos", baseMomentum = 0.85, maxMomentum = 0.95 } = options;
  const top = pctStart * totalSteps - 1;
  const last = totalSteps - 1;
  if (!(top > 0 && top < last)) throw new InputError(`oneCycle: the rate must rise for more than one step and then fall; got ${pctStart} of ${totalSteps} steps`, "use more steps, or a pctStart between 0 and 1");
  const lowest = maxLr / divFactor;
  const between = (from: number, to: number, share: number): number =>
    anneal === "cos" ? to + ((from - to) / 2) * (1 + Math.cos(Math.PI * share)) : from + (to - from) * share;
  return (step) => {
    if (step <= top) return { lr: between(lowest, maxLr, step / top), momentum: between(maxMomentum, baseMomentum, step / top) };
    const share = Math.min(1, (step - top) / (last - top));
    return { lr: between(maxLr, lowest / finalDivFactor, share), momentum: between(baseMomentum, maxMomentum, share) };
  };
}

export interface PlateauOptions {
  /** Whether the metric should fall (a loss) or rise (a score); default "min". */
  readonly mode?: "min" | "max";
  /** What the rate is multiplied with; default 0.1. */
  readonly factor?: number;
  /** Evaluations without improvement that are waited for; default 10. */
  readonly patience?: number;
  /** How much better, relative to the best, counts as better; default 1e-4. */
  readonly threshold?: number;
  /** Evaluations after a reduction that do not count; default 0. */
  readonly cooldown?: number;
  /** The least factor of the base rate; default 0. */
  readonly floor?: number;
}

/** Everything that a {@link Plateau} remembers; plain JSON. */
export interface PlateauState {
  readonly rate: number;
  readonly best: number | null;
  readonly bad: number;
  readonly cooling: number;
}

/** Lowers the learning rate when a metric stops improving. Source: torch.optim.lr_scheduler.ReduceLROnPlateau. */
export class Plateau {
  private readonly options: Required<PlateauOptions>;
  private rate = 1;
  private best: number | null = null;
  private bad = 0;
  private cooling = 0;

  constructor(options: PlateauOptions = {}) {
    this.options = { mode: "min", factor: 0.1, patience: 10, threshold: 1e-4, cooldown: 0, floor: 0, ...options };
    const { factor } = this.options;
    if (!(factor > 0 && factor < 1)) throw new InputError(`Plateau: factor must be between 0 and 1; got ${factor}`);
  }

  /** Takes the metric of one evaluation; returns the factor of the base learning rate from now on. */
  update(metric: number): number {
    const { factor, patience, cooldown, floor } = this.options;
    if (this.isBetter(metric)) {
      this.best = metric;
      this.bad = 0;
    } else {
      this.bad++;
    }
    if (this.cooling > 0) {
      this.cooling--;
      this.bad = 0;
    }
    if (this.bad > patience) {
      this.rate = Math.max(floor, this.rate * factor);
      this.cooling = cooldown;
      this.bad = 0;
    }
    return this.rate;
  }

  get state(): PlateauState {
    return { rate: this.rate, best: this.best, bad: this.bad, cooling: this.cooling };
  }

  set state({ rate, best, bad, cooling }: PlateauState) {
    this.rate = rate;
    this.best = best;
    this.bad = bad;
    this.cooling = cooling;
  }

  private isBetter(metric: number): boolean {
    const { mode, threshold } = this.options;
    if (this.best === null) return !Number.isNaN(metric);
    return mode === "min" ? metric < this.best * (1 - threshold) : metric > this.best * (1 + threshold);
  }
}
