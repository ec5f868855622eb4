import { conv2d } from "../../src/autograd/ops/conv2d.ts";
import { layerNorm } from "../../src/autograd/ops/layer-norm.ts";
import { matmul } from "../../src/autograd/ops/matmul.ts";
import { softmax } from "../../src/autograd/ops/softmax.ts";
import { tensor, type Tensor } from "../../src/autograd/tensor.ts";
import type { Device } from "../../src/device/device.ts";
import { bind, Stopwatch } from "../measure.ts";
import { inputShapes, inputValues, type Contender, type Workload } from "./contender.ts";

/** This library: public ops, recorded as a model's step is. */
export function ours(device: Device, version: string): Contender {
  return {
    name: "sightline",
    version,
    async prepare(workload) {
      const shapes = inputShapes(workload);
      const inputs = inputValues(workload).map((data, i) => tensor(device, data, shapes[i]));
      const { recording, result } = device.record(workload.kind, () => apply(workload, inputs));
      await recording.finish([result.storage]);
      const stopwatch = new Stopwatch(device, await bind(device, recording.list));
      return {
        async run(times) {
          await stopwatch.run(times);
        },
        async values() {
          recording.replay();
          return await result.read();
        },
        dispose() {
          stopwatch[Symbol.dispose]();
          recording.dispose();
          for (const input of inputs) input.dispose();
        },
      };
    },
  };
}

function apply(workload: Workload, [x, second, third]: readonly Tensor[]): Tensor {
  switch (workload.kind) {
    case "matmul":
      return matmul(x, second);
    case "conv2d":
      return conv2d(x, second, undefined, { stride: workload.stride, padding: workload.padding });
    case "softmax":
      return softmax(x);
    case "layerNorm":
      return layerNorm(x, second, third);
    default:
      return workload satisfies never;
  }
}
