import { describe, expect, test } from "vitest";
import { readCaseFile } from "./conformance/case-files.ts";
import { loadTorchCases } from "./conformance/torch-file.ts";
import { measureTorchCase } from "./conformance/torch-measure.ts";
import { isSupported } from "./conformance/torch-ops.ts";
import { useDevice } from "./device.ts";
import { isWithin } from "./ops/measure.ts";

/** One test for each case of a file in test/golden and each family of kernels. */
export function testCaseFile(title: string, path: string): void {
  const cases = loadTorchCases(readCaseFile(new URL(`golden/${path}`, import.meta.url).pathname));
  describe.each([
    ["one thread", false],
    ["cooperative", true],
  ] as const)(`${title}, %s`, (_variant, cooperativeWorkgroups) => {
    const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });
    for (const loaded of cases) {
      test(`${loaded.op} ${loaded.case}`, async ({ skip }) => {
        if (!isSupported(loaded.op)) skip(`this version has no op for PyTorch's ${loaded.op}`);
        const measured = await measureTorchCase(device(), loaded, "f32");
        expect(measured.filter((each) => !isWithin(each))).toEqual([]);
      });
    }
  });
}
