import { describe, expect, test } from "vitest";
import type { ScheduleRecipe, TrainingRecipe } from "../src/caption/recipe.ts";
import { recipeFor } from "../src/caption/recipes.ts";
import { RunSchedule } from "../src/caption/run-schedule.ts";

const { training } = recipeFor({ system: "cross", recipe: "fixed", size: "tiny", pictures: null });
const recipe = (schedule: ScheduleRecipe, patience: number | null = null): TrainingRecipe => ({ ...training, schedule, patience });

describe("the schedule of a run", () => {
  test("plateau: the rate falls where nothing gets better, and goes on from its state", () => {
    const plateau = recipe({ kind: "plateau", factor: 0.5, patience: 1 });
    const whole = new RunSchedule(plateau, 100, 10);
    const losses = [3, 3, 3, 2.9, 3, 3, 3];
    const shares = losses.map((loss) => {
      whole.validated(loss, false);
      return whole.at(0).share;
    });
    expect(shares[0]).toBe(1);
    expect(shares.at(-1)).toBeLessThan(0.5);

    const before = new RunSchedule(plateau, 100, 10);
    for (const loss of losses.slice(0, 3)) before.validated(loss, false);
    const after = new RunSchedule(plateau, 100, 10, JSON.parse(JSON.stringify(before.state)) as RunSchedule["state"]);
    expect(losses.slice(3).map((loss) => (after.validated(loss, false), after.at(0).share))).toEqual(shares.slice(3));
  });

  test("patience counts validations in a row without a better one, over a resumption too", () => {
    const schedule = new RunSchedule(recipe({ kind: "constant" }, 2), 100, 10);
    schedule.validated(1, true);
    schedule.validated(2, false);
    expect(schedule.isExhausted).toBe(false);
    const resumed = new RunSchedule(recipe({ kind: "constant" }, 2), 100, 10, schedule.state);
    resumed.validated(2, false);
    expect(resumed.isExhausted).toBe(true);
    resumed.beginRewards();
    expect(resumed.isExhausted).toBe(false);
  });

  test("rewards move no plateau", () => {
    const schedule = new RunSchedule(recipe({ kind: "plateau", factor: 0.5, patience: 0 }), 100, 10);
    schedule.validated(1, true);
    for (let i = 0; i < 5; i++) schedule.validated(null, false);
    expect(schedule.at(0).share).toBe(1);
  });

  test("step and one-cycle follow the steps", () => {
    const step = new RunSchedule(recipe({ kind: "step", epochs: 2, factor: 0.1 }), 100, 10);
    expect([0, 19, 20, 40].map((at) => step.at(at).share)).toEqual([1, 1, 0.1, expect.closeTo(0.01, 12)]);
    const cycle = new RunSchedule(recipe({ kind: "one-cycle", rise: 0.3 }), 100, 10);
    expect(cycle.at(0).share).toBeLessThan(0.1);
    expect(Math.max(...Array.from({ length: 100 }, (_, i) => cycle.at(i).share))).toBeCloseTo(1, 2);
    expect(cycle.at(0).momentum).toBeGreaterThan(cycle.at(30).momentum!);
  });
});
