import { describe, expect, test } from "vitest";
import { Generator, threefry } from "../src/core/rng.ts";

describe("threefry", () => {
  // Known answers of Random123 (kat_vectors): threefry2x32, 20 rounds.
  test.each([
    [[0, 0, 0, 0], [0x6b200159, 0x99ba4efe]],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0x1cb996fc, 0xbb002be7]],
    [[0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3], [0xc4923a9c, 0x483df7a0]],
  ])("of key and counter %j is %j", ([k0, k1, c0, c1], expected) => {
    expect(threefry(k0, k1, c0, c1)).toEqual(expected);
  });
});

describe("Generator", () => {
  test("continues the same sequence from its state", () => {
    const generator = new Generator(7);
    for (let i = 0; i < 5; i++) generator.nextU32();
    const copy = Generator.from(generator.state);
    expect([copy.uniform(), copy.normal(), copy.integer(10)]).toEqual([generator.uniform(), generator.normal(), generator.integer(10)]);
  });

  test("streams of one seed differ", () => {
    expect(new Generator(1, 0).nextU32()).not.toBe(new Generator(1, 1).nextU32());
  });

  test("uniform numbers fill [0, 1), normal ones have mean 0 and deviation 1", () => {
    const generator = new Generator(3);
    const n = 20_000;
    const uniforms = Array.from({ length: n }, () => generator.uniform());
    expect(Math.min(...uniforms)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniforms)).toBeLessThan(1);
    expect(uniforms.reduce((sum, u) => sum + u, 0) / n).toBeCloseTo(0.5, 2);
    const normals = Array.from({ length: n }, () => generator.normal());
    expect(normals.reduce((sum, x) => sum + x, 0) / n).toBeCloseTo(0, 1);
    expect(normals.reduce((sum, x) => sum + x * x, 0) / n).toBeCloseTo(1, 1);
  });

  test("shuffles every element into place", () => {
    const items = Array.from({ length: 100 }, (_, i) => i);
    const shuffled = new Generator(1).shuffle([...items]);
    expect(shuffled).not.toEqual(items);
    expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
  });
});
