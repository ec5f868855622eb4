import { oneCycle, Plateau, stepDecay, constant, warmupCosine, type PlateauState } from "../train/schedule.ts";
import type { TrainingRecipe } from "./recipe.ts";

/** What a schedule must remember to go on; plain JSON. */
export interface ScheduleState {
  /** Validations since the best one. */
  readonly bad: number;
  readonly plateau: PlateauState | null;
}

/** Rates at a step: a share of the greatest learning rate, and the momentum where the schedule moves it. */
export interface StepRates {
  readonly share: number;
  readonly momentum?: number;
}

/** The learning rates of a run, and its early end. */
export class RunSchedule {
  private readonly rates: (step: number) => StepRates;
  private readonly plateau: Plateau | null;
  private readonly patience: number;
  private bad: number;

  constructor({ schedule, patience }: TrainingRecipe, steps: number, stepsPerEpoch: number, state?: ScheduleState) {
    this.plateau = schedule.kind === "plateau" ? new Plateau({ factor: schedule.factor, patience: schedule.patience }) : null;
    if (this.plateau !== null && state?.plateau) this.plateau.state = state.plateau;
    this.patience = patience ?? Infinity;
    this.bad = state?.bad ?? 0;
    this.rates = ratesOf(schedule, steps, stepsPerEpoch);
  }

  /** Whether nothing got better for so long that the run shall end. */
  get isExhausted(): boolean {
    return this.bad >= this.patience;
  }

  get state(): ScheduleState {
    return { bad: this.bad, plateau: this.plateau?.state ?? null };
  }

  at(step: number): StepRates {
    const rates = this.rates(step);
    return this.plateau === null ? rates : { share: this.plateau.state.rate };
  }

  /** Takes the result of a validation; the loss is null where it moves no rate. */
  validated(loss: number | null, best: boolean): void {
    if (loss !== null) this.plateau?.update(loss);
    this.bad = best ? 0 : this.bad + 1;
  }

  /** Captions are learned: patience begins anew. */
  beginRewards(): void {
    this.bad = 0;
  }
}

function ratesOf(schedule: TrainingRecipe["schedule"], steps: number, stepsPerEpoch: number): (step: number) => StepRates {
  switch (schedule.kind) {
    case "constant":
    case "plateau":
      return shareBy(constant());
    case "warmup-cosine":
      return shareBy(warmupCosine({ warmup: Math.max(1, Math.round(schedule.warmup * steps)), total: steps }));
    case "step":
      return shareBy(stepDecay({ stepSize: Math.max(1, Math.round(schedule.epochs * stepsPerEpoch)), gamma: schedule.factor }));
    case "one-cycle": {
      const cycle = oneCycle({ maxLr: 1, totalSteps: steps, pctStart: schedule.rise });
      return (step) => {
        const { lr, momentum } = cycle(step);
        return { share: lr, momentum };
      };
    }
    default:
      return schedule satisfies never;
  }
}

function shareBy(schedule: (step: number) => number): (step: number) => StepRates {
  return (step) => ({ share: schedule(step) });
}
