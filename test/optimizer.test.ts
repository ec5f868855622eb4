import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { add, matmul, mseLoss, sum, tanh } from "../src/autograd/ops/index.ts";
import { recorded } from "../src/autograd/recorded.ts";
import { tensor, type Tensor } from "../src/autograd/tensor.ts";
import { Generator } from "../src/core/rng.ts";
import type { Device } from "../src/device/device.ts";
import { AdamW } from "../src/train/adamw.ts";
import { SGD } from "../src/train/sgd.ts";
import { readCaseFile } from "./conformance/case-files.ts";
import { loadOptimCases } from "./conformance/torch-file.ts";
import { measureOptimCase } from "./conformance/torch-measure.ts";
import { adam, parameter, sgd, train, type BuildOptimizer, type Problem, type Trail } from "./conformance/torch-optim.ts";
import { useDevice } from "./device.ts";
import { isWithin, relativeError } from "./ops/measure.ts";

const TOLERANCE = 1e-5; // ten steps in f32 against float64 or PyTorch's f32

const device = useDevice({ adapter: "software" });
const narrow = useDevice({ adapter: "software", limits: { maxStorageBufferBindingSize: 1024 } });
const cooperative = useDevice({ adapter: "software", limits: { cooperativeWorkgroups: true } });

function makeProblem(seed: number): Problem {
  const generator = new Generator(seed);
  const [rows, inputs, outputs] = [12, 5, 3];
  const normal = (n: number): Float32Array => Float32Array.from({ length: n }, () => generator.normal());
  return { x: normal(rows * inputs), y: normal(rows * outputs), w: normal(inputs * outputs), b: normal(outputs), sizes: [rows, inputs, outputs] };
}

type Rule = (parameter: number, gradient: number, state: number[], step: number) => number;

const adamRule = (lr: number, decay: number, decoupled: boolean): Rule => (p, gradient, state, t) => {
  const g = decoupled ? gradient : gradient + decay * p;
  state[0] = 0.9 * (state[0] ?? 0) + 0.1 * g;
  state[1] = 0.999 * (state[1] ?? 0) + 0.001 * g * g;
  const kept = decoupled ? p - lr * decay * p : p;
  return kept - (lr * (state[0] / (1 - 0.9 ** t))) / (Math.sqrt(state[1] / (1 - 0.999 ** t)) + 1e-8);
};

const sgdRule = (lr: number, decay: number, momentum: number, nesterov: boolean): Rule => (p, gradient, state) => {
  const g = gradient + decay * p;
  state[0] = momentum * (state[0] ?? 0) + g;
  return p - lr * (nesterov ? g + momentum * state[0] : state[0]);
};

/** The same ten steps in float64, by plain loops. */
function reference({ x, y, w: w0, b: b0, sizes: [rows, inputs, outputs] }: Problem, rule: Rule, clipNorm = Infinity): Trail {
  const values = [...w0, ...b0];
  const states = values.map((): number[] => []);
  const losses: number[] = [];
  const norms: number[] = [];
  for (let t = 1; t <= 10; t++) {
    const gradients = values.map(() => 0);
    let loss = 0;
    for (let r = 0; r < rows; r++) {
      for (let o = 0; o < outputs; o++) {
        let error = values[inputs * outputs + o] - y[r * outputs + o];
        for (let i = 0; i < inputs; i++) error += x[r * inputs + i] * values[i * outputs + o];
        loss += error ** 2 / (rows * outputs);
        const d = (2 * error) / (rows * outputs);
        gradients[inputs * outputs + o] += d;
        for (let i = 0; i < inputs; i++) gradients[i * outputs + o] += d * x[r * inputs + i];
      }
    }
    const norm = Math.sqrt(gradients.reduce((all, g) => all + g * g, 0));
    const scale = Math.min(1, clipNorm / (norm + 1e-6));
    gradients.forEach((g, i) => (values[i] = rule(values[i], g * scale, states[i], t)));
    losses.push(loss);
    norms.push(norm);
  }
  return { w: values.slice(0, w0.length), b: values.slice(w0.length), losses, norms };
}

function expectClose(actual: Trail, expected: Trail): void {
  expect(relativeError(actual.w, expected.w), "w").toBeLessThanOrEqual(TOLERANCE);
  expect(relativeError(actual.b, expected.b), "b").toBeLessThanOrEqual(TOLERANCE);
  expect(relativeError(actual.losses, expected.losses), "losses").toBeLessThanOrEqual(TOLERANCE);
  if (actual.norms.length > 0) expect(relativeError(actual.norms, expected.norms), "gradient norms").toBeLessThanOrEqual(TOLERANCE);
}

describe("ten steps", () => {
  const cases: [string, BuildOptimizer, Rule, number?][] = [
    ["AdamW", adam({ lr: 0.02, weightDecay: 0.1 }), adamRule(0.02, 0.1, true)],
    ["AdamW, clipped", adam({ lr: 0.02, weightDecay: 0.1 }), adamRule(0.02, 0.1, true), 0.5],
    ["Adam with L2", adam({ lr: 0.02, weightDecay: 0.1, decoupled: false }), adamRule(0.02, 0.1, false)],
    ["SGD", sgd({ lr: 0.1, weightDecay: 0.01 }), sgdRule(0.1, 0.01, 0, false)],
    ["SGD, clipped", sgd({ lr: 0.1 }), sgdRule(0.1, 0, 0, false), 0.3],
    ["SGD with momentum", sgd({ lr: 0.05, momentum: 0.9, weightDecay: 0.01 }), sgdRule(0.05, 0.01, 0.9, false)],
    ["SGD with Nesterov's momentum", sgd({ lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.01 }), sgdRule(0.05, 0.01, 0.9, true)],
  ];
  for (const [name, build, rule, clipNorm] of cases) {
    test(`${name}: eager and recorded agree with float64, and with each other to the bit`, async () => {
      const problem = makeProblem(3);
      const expected = reference(problem, rule, clipNorm);
      const eager = await train(device(), problem, build, { mode: "eager", clipNorm });
      const replayed = await train(device(), problem, build, { mode: "recorded", clipNorm });
      expectClose(eager, expected);
      expect(replayed).toEqual(eager);
    });
  }

  test("cooperative workgroups measure the same norm", async () => {
    const problem = makeProblem(4);
    expectClose(await train(cooperative(), problem, adam({ lr: 0.02, weightDecay: 0.1 }), { mode: "recorded", clipNorm: 0.5 }), reference(problem, adamRule(0.02, 0.1, true), 0.5));
  });
});

describe("PyTorch's trails", () => {
  for (const loaded of loadOptimCases(readCaseFile(join(import.meta.dirname, "golden", "ops", "optim-given.json")))) {
    test(loaded.case, async () => {
      const measured = await measureOptimCase(device(), loaded);
      expect(measured.filter((each) => !isWithin(each))).toEqual([]);
    });
  }
});

describe("which parameters change", () => {
  /** A loss for which the gradient of p [1, n] is `factor`, everywhere. */
  const linear = (p: Tensor, factor: number): Tensor => sum(matmul(p, tensor(p.device, new Float32Array(p.size).fill(factor), [p.size, 1])));
  const row = (on: Device, value: number, size = 3): Tensor => parameter(on, new Float32Array(size).fill(value), [1, size]);
  const total = (...losses: readonly Tensor[]): Tensor => losses.reduce((all, loss) => add(all, loss));

  for (const mode of ["eager", "recorded"] as const) {
    const runOnce = async (on: Device, action: () => void): Promise<void> => {
      if (mode === "recorded") {
        const step = recorded(on, "once", () => {
          action();
          return {};
        });
        await step.run();
        await on.idle();
        step.dispose();
      } else {
        using _scope = on.scope();
        action();
      }
    };

    test(`${mode}: parameters without a gradient stay exactly, and their step number too`, async () => {
      const on = device();
      const [a, idle, c] = [row(on, 1), row(on, 2, 70), row(on, 3)];
      const frozen = row(on, 4);
      frozen.requiresGrad = false;
      const optimizer = new SGD([{ params: [a, idle, frozen, c] }], { lr: 0.5, weightDecay: 0.1, momentum: 0.9 });
      await runOnce(on, () => {
        total(linear(a, 1), linear(c, 2)).backward();
        optimizer.step({ clipNorm: Infinity });
        expect([a.grad, c.grad]).toEqual([null, null]);
      });
      expect([...(await a.read())]).toEqual(Array(3).fill(Math.fround(1 - 0.5 * 1.1)));
      expect([...(await idle.read())]).toEqual(Array(70).fill(2));
      expect([...(await frozen.read())]).toEqual([4, 4, 4]);
      expect((await c.read())[0]).toBeCloseTo(3 - 0.5 * 2.3, 6);
      expect(await optimizer.gradientNorm.item()).toBeCloseTo(Math.sqrt(3 * 1 + 3 * 4), 5);
      const state = await optimizer.stateDict();
      expect(["0.step", "1.step", "2.step"].map((key) => state.get(key)!.data[0])).toEqual([1, 0, 1]);
      frozen.grad = tensor(on, new Float32Array(3), [1, 3]);
      expect(() => optimizer.step()).toThrow(/was frozen when the optimiser was made/);
    });

    test(`${mode}: two parameters whose gradients are one tensor`, async () => {
      const on = device();
      const [a, b] = [row(on, 1), row(on, 2)];
      const optimizer = new SGD([{ params: [a, b] }], { lr: 1 });
      await runOnce(on, () => {
        linear(add(a, b), 3).backward(); // add hands one gradient to both
        optimizer.step();
      });
      expect([[...(await a.read())], [...(await b.read())]]).toEqual([[-2, -2, -2], [-1, -1, -1]]);
    });

    test(`${mode}: a gradient that is computed from another parameter's`, async () => {
      const on = device();
      const [a, b] = [row(on, 1), row(on, 0)];
      const optimizer = new SGD([{ params: [a, b] }], { lr: 1 });
      await runOnce(on, () => {
        linear(add(a, tanh(b)), 3).backward(); // one dispatch reads the gradient of a and writes that of b
        optimizer.step();
      });
      expect([[...(await a.read())], [...(await b.read())]]).toEqual([[-2, -2, -2], [-3, -3, -3]]);
    });

    test(`${mode}: a tied parameter, listed twice and as a view`, async () => {
      const on = device();
      const a = row(on, 1);
      const tied = a.view([3, 1]);
      tied.requiresGrad = true;
      const optimizer = new SGD([{ params: [a, a, tied] }], { lr: 1 });
      await runOnce(on, () => {
        total(linear(a, 3), sum(tied)).backward();
        optimizer.step();
      });
      expect([...(await a.read())]).toEqual([-3, -3, -3]);
      expect([...(await tied.read())]).toEqual([-3, -3, -3]);
      expect([...(await optimizer.stateDict()).keys()]).toEqual(["0.step"]);
    });

    test(`${mode}: a gradient that is not finite changes nothing`, async () => {
      const on = device();
      const [a, b] = [row(on, 1), row(on, 2)];
      const optimizer = new AdamW([{ params: [a] }, { params: [b], weightDecay: 0 }], { lr: 0.1 });
      for (const bad of [NaN, Infinity, 3e38]) {
        await runOnce(on, () => {
          total(linear(a, 1), linear(b, bad)).backward();
          optimizer.step({ clipNorm: 1 });
        });
        expect(Number.isFinite(await optimizer.gradientNorm.item())).toBe(false);
      }
      expect([[...(await a.read())], [...(await b.read())]]).toEqual([[1, 1, 1], [2, 2, 2]]);
      for (const [name, { data }] of await optimizer.stateDict()) if (!name.endsWith("step")) expect([...data]).toEqual([0, 0, 0]);
      await runOnce(on, () => {
        total(linear(a, 1), linear(b, 1)).backward();
        optimizer.step({ clipNorm: 1 });
      });
      expect((await a.read())[0]).toBeLessThan(1);
    });
  }
});

describe("accumulation", () => {
  test("micro-batches in recordings of their own are as one batch, step after step", async () => {
    const on = device();
    const problem = makeProblem(5);
    const [rows, inputs, outputs] = problem.sizes;
    const build = (): [Tensor, Tensor, AdamW] => {
      const w = parameter(on, problem.w, [inputs, outputs]);
      const b = parameter(on, problem.b, [outputs]);
      return [w, b, new AdamW([{ params: [w, b] }], { lr: 0.02 })];
    };
    const whole = await train(on, problem, adam({ lr: 0.02 }), { mode: "recorded", clipNorm: 0.5, steps: 4 });
    const [w, b, optimizer] = build();
    const half = rows / 2;
    const share = tensor(on, Float32Array.of(0.5), []);
    const micro = recorded(on, "micro-batch", (x, y) => {
      const loss = mseLoss(add(matmul(x, w), b), y);
      loss.backward(share);
      optimizer.accumulate();
      return { loss };
    });
    const update = recorded(on, "update", () => {
      optimizer.step({ clipNorm: 0.5 });
      return {};
    });
    for (let step = 0; step < 4; step++) {
      for (const part of [0, 1]) {
        await micro.run(
          { shape: [half, inputs], data: problem.x.slice(part * half * inputs, (part + 1) * half * inputs) },
          { shape: [half, outputs], data: problem.y.slice(part * half * outputs, (part + 1) * half * outputs) },
        );
      }
      await update.run();
      expect(await optimizer.gradientNorm.item()).toBeCloseTo(whole.norms[step], 5);
    }
    expect(relativeError(await w.read(), whole.w)).toBeLessThanOrEqual(TOLERANCE);
    expect(relativeError(await b.read(), whole.b)).toBeLessThanOrEqual(TOLERANCE);
  });

  test("the last part may step at once; zeroGrad forgets sums", async () => {
    const on = device();
    const p = parameter(on, Float32Array.of(0, 0), [2]);
    const optimizer = new SGD([{ params: [p] }], { lr: 1 });
    const part = (): void => sum(p).backward();
    part();
    optimizer.step(); // recorded or not, a plain step before must not leave its gradient behind
    part();
    optimizer.accumulate();
    part();
    optimizer.step();
    expect([...(await p.read())]).toEqual([-3, -3]);
    part();
    optimizer.accumulate();
    part();
    optimizer.zeroGrad();
    part();
    optimizer.step();
    expect([...(await p.read())]).toEqual([-4, -4]);
  });
});

describe("state", () => {
  test("resumes to the same bits", async () => {
    const on = device();
    const problem = makeProblem(6);
    const straight = await train(on, problem, adam({ lr: 0.02 }), { mode: "recorded", clipNorm: 1, steps: 6 });
    const [, inputs, outputs] = problem.sizes;
    const first = { w: parameter(on, problem.w, [inputs, outputs]), b: parameter(on, problem.b, [outputs]) };
    const optimizer = new AdamW([{ params: [first.w, first.b] }], { lr: 0.02 });
    const stepWith = (w: Tensor, b: Tensor, active: AdamW): void => {
      using _scope = on.scope();
      mseLoss(add(matmul(tensor(on, problem.x, [problem.sizes[0], inputs]), w), b), tensor(on, problem.y, [problem.sizes[0], outputs])).backward();
      active.step({ clipNorm: 1 });
    };
    for (let i = 0; i < 3; i++) stepWith(first.w, first.b, optimizer);
    const saved = await optimizer.stateDict();
    expect([...saved.keys()]).toEqual(["0.exp_avg", "0.exp_avg_sq", "0.step", "1.exp_avg", "1.exp_avg_sq", "1.step"]);
    const w = parameter(on, (await first.w.read()) as Float32Array, [inputs, outputs]);
    const b = parameter(on, (await first.b.read()) as Float32Array, [outputs]);
    const resumed = new AdamW([{ params: [w, b] }], { lr: 0.02 });
    resumed.loadStateDict(saved);
    for (let i = 0; i < 3; i++) stepWith(w, b, resumed);
    expect(await w.read()).toEqual(straight.w);
    expect(await b.read()).toEqual(straight.b);
  });

  test("refuses the state of another model, and changes nothing then", async () => {
    const on = device();
    const optimizer = new AdamW([{ params: [parameter(on, new Float32Array(4), [2, 2])] }]);
    const good = await optimizer.stateDict();
    const missing = new Map([...good].slice(1));
    expect(() => optimizer.loadStateDict(missing)).toThrow(/"0.exp_avg" must be f32 \[2,2\]; got nothing/);
    const transposed = new Map(good).set("0.exp_avg_sq", { dtype: "f32", shape: [4], data: new Float32Array(4) });
    expect(() => optimizer.loadStateDict(transposed)).toThrow(/"0.exp_avg_sq" must be f32 \[2,2\]; got f32 \[4\]/);
    expect(() => optimizer.loadStateDict(new Map(good).set("1.step", { dtype: "i32", shape: [1], data: Int32Array.of(1) }))).toThrow(/1 entries belong to no parameter, among them "1.step"/);
  });
});

describe("memory and misuse", () => {
  test("parameters move into one buffer; all memory comes back", async () => {
    const on = device();
    const before = on.memory().liveBuffers;
    const relocations = on.relocations;
    const params = [1, 2, 3].map((value) => parameter(on, new Float32Array(100).fill(value), [100]));
    const optimizer = new AdamW([{ params }]);
    expect(on.relocations).toBe(relocations + 1);
    expect(on.memory().liveBuffers).toBe(before + 4); // values, gradients, two moments
    expect(await Promise.all(params.map(async (p) => (await p.read())[99]))).toEqual([1, 2, 3]);
    const moved = new AdamW([{ params: params.slice(0, 2) }]);
    sum(params[2]).backward();
    expect(() => optimizer.step()).toThrow(/moved by a later optimiser/);
    optimizer.dispose();
    moved.dispose();
    expect(on.memory().liveBuffers - before).toBeGreaterThanOrEqual(2);
    expect((await params[2].read())[0]).toBe(3);
    for (const p of params) p.dispose();
  });

  test("a step is one dispatch a group, and no gradient is copied", async () => {
    const on = device();
    const problem = makeProblem(7);
    const [rows, inputs, outputs] = problem.sizes;
    const w = parameter(on, problem.w, [inputs, outputs]);
    const b = parameter(on, problem.b, [outputs]);
    const optimizer = new AdamW([{ params: [w, b] }]);
    const step = recorded(on, "step", (x, y) => {
      const loss = mseLoss(add(matmul(x, w), b), y);
      loss.backward();
      optimizer.step();
      return { loss };
    });
    await step.run({ shape: [rows, inputs], data: problem.x }, { shape: [rows, outputs], data: problem.y });
    const names = step.recording!.list.map(({ name }) => name);
    expect(names.filter((name) => name === "adamUpdate")).toHaveLength(1);
    expect(names).not.toContain("assign");
    step.dispose();
  });

  test("a group larger than one binding takes several dispatches", async () => {
    const on = narrow();
    const params = [1, 2, 3].map((value) => parameter(on, new Float32Array(100).fill(value), [100]));
    const optimizer = new SGD([{ params }], { lr: 1 });
    const step = recorded(on, "step", () => {
      for (const p of params) sum(p).backward();
      optimizer.step({ clipNorm: 1e3 });
      return {};
    });
    await step.run();
    expect(step.recording!.list.filter(({ name }) => name === "sgdUpdate")).toHaveLength(2);
    expect(await Promise.all(params.map(async (p) => (await p.read())[99]))).toEqual([0, 1, 2]);
    expect(await optimizer.gradientNorm.item()).toBeCloseTo(Math.sqrt(300), 4);
  });

  test("refuses what it cannot train", () => {
    const on = device();
    const p = parameter(on, new Float32Array(2), [2]);
    const constant = tensor(on, new Float32Array(2), [2]);
    expect(() => new SGD([{ params: [constant] }])).toThrow(/there must be a parameter that requires a gradient; got none/);
    expect(() => new SGD([{ params: [p] }, { params: [p] }])).toThrow(/stands in groups 0 and 1/);
    expect(() => new SGD([{ params: [add(p, 1)] }])).toThrow(/must not be results of ops; got one of shape \[2\]/);
    const optimizer = new SGD([{ params: [p] }]);
    expect(() => optimizer.gradientNorm).toThrow(/measured by step\(\{ clipNorm \}\)/);
    expect(() => optimizer.step({ clipNorm: 0 })).toThrow(/clipNorm must be above 0; got 0/);
  });
});
