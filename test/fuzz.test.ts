import { describe, expect, test } from "vitest";
import { Generator } from "../src/core/rng.ts";
import { Fuzzer, type FuzzCase } from "./fuzz/fuzz.ts";
import { ALL_CASES } from "./ops/index.ts";
import { valuesOf, type OpCase } from "./ops/op-case.ts";

const FUZZED = ALL_CASES.filter((opCase): opCase is FuzzCase => opCase.fuzz !== undefined);
const add = FUZZED.find(({ name }) => name === "add")!;

async function tryShapes(cases: readonly OpCase<unknown>[], count: number): Promise<unknown[]> {
  const fuzzer = new Fuzzer({ cases: cases as readonly FuzzCase[], seed: 3, adapter: "software" });
  const failures: unknown[] = [];
  for (let index = 0; index < count; index++) failures.push(await fuzzer.tryShape(index));
  await fuzzer.close();
  return failures.filter((failure) => failure !== null);
}

describe("random samples", () => {
  test.each(FUZZED.map((opCase) => [opCase.name, opCase] as const))("of %s: the same for a seed, and the reference takes them", (_name, { fuzz, reference }) => {
    for (let seed = 0; seed < 8; seed++) {
      const sample = fuzz(new Generator(seed));
      expect(sample).toEqual(fuzz(new Generator(seed)));
      const outputs = reference(sample.inputs.map((input, i) => ({ shape: input.shape, data: valuesOf(input, i) })), sample.attrs);
      for (const { shape, data } of outputs) expect(data.length, `a reference output of shape [${shape}]`).toBe(shape.reduce((product, n) => product * n, 1));
    }
  });

  test("there are some for every op", () => {
    const variants = /values alone|far from 0|extremes|NaN|of a number|of integers|^argsort$|^long cumsum$/; // of ops that have
    const without = ALL_CASES.filter(({ name, fuzz }) => fuzz === undefined && !variants.test(name)).map(({ name }) => name);
    const others = ["flatten", "squeeze", "unsqueeze", "appendToCache", "packedCachedAttention"]; // reshape by other names; caches, which change in place
    expect(without.filter((name) => !others.includes(name))).toEqual([]);
  });
});

describe("fuzzing", () => {
  test("finds nothing where nothing is wrong, in both families", async () => {
    expect(await tryShapes([add], 4)).toEqual([]);
  });

  test("finds a wrong value with all that is needed to see it again", async () => {
    const wrong: OpCase<unknown> = { ...add, name: "wrong", reference: (inputs, attrs) => add.reference(inputs, attrs).map(({ shape, data }) => ({ shape, data: data.map((value) => value + 1e-3) })) };
    const failures = await tryShapes([add, wrong], 4);
    expect(failures).toMatchObject([
      { index: 1, op: "wrong", family: "one thread", problems: [expect.stringMatching(/^out0: relative error \d\.\d\de-\d, allowed 2e-7/)] },
      { index: 3, op: "wrong", family: "cooperative", sample: { shapes: [expect.any(Array), expect.any(Array)] } },
    ]);
  });

  test("an op that throws is a failure too", async () => {
    const failures = await tryShapes([{ ...add, apply: () => { throw new Error("no such luck"); } }], 1);
    expect(failures).toMatchObject([{ problems: ["Error: no such luck"] }]);
  });
});
