import { describe, expect, test } from "vitest";
import { constant, oneCycle, Plateau, stepDecay, warmupCosine } from "../src/train/schedule.ts";

describe("schedules", () => {
  test("constant", () => expect([0, 1, 1000].map(constant())).toEqual([1, 1, 1]));

  test("warm-up and cosine, with a floor, and after the end", () => {
    const rate = warmupCosine({ warmup: 4, total: 10 });
    const expected = [0.25, 0.5, 0.75, 1, 1, 0.9330127018922193, 0.75, 0.5, 0.25, 0.0669872981077807, 0, 0];
    expected.forEach((value, step) => expect(rate(step)).toBeCloseTo(value, 12));
    expect(warmupCosine({ warmup: 0, total: 2, floor: 0.1 })(2)).toBeCloseTo(0.1, 12);
    expect(warmupCosine({ warmup: 0, total: 2, floor: 0.1 })(1)).toBeCloseTo(0.55, 12);
    expect(warmupCosine({ warmup: 1, total: 1 })(0)).toBe(1);
    expect(() => warmupCosine({ warmup: 5, total: 4 })).toThrow(/warmup must be in 0..total; got 5 of 4/);
  });

  test("step decay", () => {
    expect([0, 2, 3, 5, 6].map(stepDecay({ stepSize: 3, gamma: 0.5 }))).toEqual([1, 1, 0.5, 0.5, 0.25]);
    expect(() => stepDecay({ stepSize: 0 })).toThrow(/stepSize must be at least 1; got 0/);
  });

  test("one cycle: greatest rate with least momentum, linear too, and held after the end", () => {
    const cycle = oneCycle({ maxLr: 1, totalSteps: 11, pctStart: 5 / 11, divFactor: 10, finalDivFactor: 10 });
    expect(cycle(0).lr).toBeCloseTo(0.1, 12);
    expect(cycle(0).momentum).toBeCloseTo(0.95, 12);
    expect(cycle(4).lr).toBeCloseTo(1, 12);
    expect(cycle(4).momentum).toBeCloseTo(0.85, 12);
    expect(cycle(10).lr).toBeCloseTo(0.01, 12);
    expect(cycle(20)).toEqual(cycle(10));
    const linear = oneCycle({ maxLr: 1, totalSteps: 11, pctStart: 5 / 11, divFactor: 10, anneal: "linear" });
    expect(linear(1).lr).toBeCloseTo(0.1 + 0.9 / 4, 12);
    expect(linear(1).momentum).toBeCloseTo(0.95 - 0.1 / 4, 12);
    expect(() => oneCycle({ maxLr: 1, totalSteps: 2 })).toThrow(/got 0.3 of 2 steps/);
  });
});

describe("plateau", () => {
  test("lowers the rate after patience evaluations without improvement, and goes on from its state", () => {
    const plateau = new Plateau({ factor: 0.5, patience: 1, floor: 0.2 });
    expect([5, 4, 4, 4].map((loss) => plateau.update(loss))).toEqual([1, 1, 1, 0.5]);
    const resumed = new Plateau({ factor: 0.5, patience: 1, floor: 0.2 });
    resumed.state = JSON.parse(JSON.stringify(plateau.state));
    for (const each of [plateau, resumed]) expect([4, 4, 4, 4, NaN].map((loss) => each.update(loss))).toEqual([0.5, 0.25, 0.25, 0.2, 0.2]);
  });

  test("scores that rise, a threshold and a cooldown", () => {
    const plateau = new Plateau({ mode: "max", factor: 0.1, patience: 0, threshold: 0.5, cooldown: 2 });
    expect(plateau.update(1)).toBe(1);
    expect(plateau.update(1.4)).toBe(0.1); // not half as much again
    expect(plateau.update(1.4)).toBe(0.1); // cooling
    expect(plateau.update(1.4)).toBe(0.1);
    expect(plateau.update(1.4)).toBeCloseTo(0.01, 12);
    expect(plateau.update(1.6)).toBeCloseTo(0.01, 12);
    expect(() => new Plateau({ factor: 1 })).toThrow(/factor must be between 0 and 1; got 1/);
  });
});
