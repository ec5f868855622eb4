import { describe, expect, test } from "vitest";
import { useDevice } from "./device.ts";
import { ALL_CASES } from "./ops/index.ts";
import { expectation, fitsFloat16, isWithin, measureSample } from "./ops/measure.ts";

describe.each([
  ["one thread", false],
  ["cooperative", true],
] as const)("ops on tensors in f16 (emulated), %s", (_variant, cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { emulateF16: true, cooperativeWorkgroups } });
  for (const opCase of ALL_CASES) {
    const sample = opCase.samples.find((candidate) => fitsFloat16(opCase, candidate));
    if (sample === undefined) continue;
    test(`${opCase.name}: ${sample.name}`, async () => {
      const { measured, broken } = await measureSample(device(), opCase, sample, expectation(opCase, sample, "f16"));
      expect(measured.filter((one) => !isWithin(one))).toEqual([]);
      expect(broken).toEqual([]);
    });
  }
});
