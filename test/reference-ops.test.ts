import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { isSupported, runTorchCase, type TorchCase } from "./conformance/torch-ops.ts";
import { useDevice } from "./device.ts";
import { relativeError } from "./ops/harness.ts";

const TOLERANCE = 1e-5; // f32 against PyTorch's f32: both round, in another order; 5e-7 is the most that was seen

const folder = new URL("golden/ops/", import.meta.url);
const cases = JSON.parse(readFileSync(new URL("given.json", folder), "utf8")) as readonly TorchCase[];
const reference = readSafetensors(readFileSync(new URL("given.safetensors", folder)), "given.safetensors").tensors;

/** The tensors of a case without its prefix. */
function tensorsOf({ op, case: name }: TorchCase): Map<string, HostTensor> {
  const prefix = `${op}/${name}/`;
  return new Map([...reference].flatMap(([key, tensor]) => (key.startsWith(prefix) ? [[key.slice(prefix.length), tensor]] : [])));
}

describe.each([
  ["one thread", false],
  ["cooperative", true],
] as const)("PyTorch's values and gradients, %s", (_variant, cooperativeWorkgroups) => {
  const device = useDevice({ adapter: "software", limits: { cooperativeWorkgroups } });

  for (const torchCase of cases) {
    test(`${torchCase.op} ${torchCase.case}`, async ({ skip }) => {
      if (!isSupported(torchCase.op)) skip(`this version has no op for PyTorch's ${torchCase.op}`);
      const tensors = tensorsOf(torchCase);
      const { outputs, grads } = await runTorchCase(device(), torchCase, tensors);
      expect(outputs.length, "number of outputs").toBe(torchCase.outputs);
      const found = [...outputs.map((output, k) => [`out${k}`, output] as const), ...Object.entries(grads).map(([name, grad]) => [`grad/${name}`, grad] as const)];
      for (const [name, { shape, data }] of found) {
        const expected = tensors.get(name)!;
        expect(shape, `shape of ${name}`).toEqual(expected.shape);
        expect(relativeError(data, expected.data), `relative error of ${name}`).toBeLessThanOrEqual(TOLERANCE);
      }
    });
  }
});
