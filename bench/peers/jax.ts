import { inputShapes, inputValues, type Contender, type Workload } from "./contender.ts";
import { peerVersion, requirePeer } from "./install.ts";

const PACKAGE = "@jax-js/jax";

/** An array of jax-js; a function that it is given to takes it over unless it is given as `ref`. */
interface JaxArray {
  readonly ref: JaxArray;
  mul(other: JaxArray): JaxArray;
  add(other: JaxArray): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type JaxFunction = (...inputs: JaxArray[]) => JaxArray;

/** What is used of jax-js. */
interface Jax {
  init(...devices: string[]): Promise<string[]>;
  defaultDevice(device: string): string;
  jit(fn: JaxFunction): JaxFunction;
  blockUntilReady(arrays: readonly JaxArray[]): Promise<unknown>;
  readonly numpy: { array(data: Float32Array, options: { shape: readonly number[] }): JaxArray; matmul(a: JaxArray, b: JaxArray): JaxArray };
  readonly lax: { convGeneralDilated(x: JaxArray, weight: JaxArray, strides: readonly number[], padding: readonly (readonly number[])[]): JaxArray };
  readonly nn: { softmax(x: JaxArray, axis: number): JaxArray; standardize(x: JaxArray, axis: number): JaxArray };
}

/** jax-js with each workload compiled by its `jit`. */
export async function jax(): Promise<Contender> {
  const library = requirePeer(PACKAGE) as Jax;
  const devices = await library.init("webgpu");
  if (!devices.includes("webgpu")) throw new Error(`${PACKAGE} found no WebGPU adapter`);
  library.defaultDevice("webgpu");
  return {
    name: "jax-js",
    version: peerVersion(PACKAGE),
    async prepare(workload) {
      const shapes = inputShapes(workload);
      const inputs = inputValues(workload).map((data, i) => library.numpy.array(data, { shape: shapes[i] }));
      const compiled = library.jit(functionOf(library, workload));
      const call = (): JaxArray => compiled(...inputs.map(({ ref }) => ref));
      return {
        async run(times) {
          const results = Array.from({ length: times }, call);
          await library.blockUntilReady(results);
          for (const result of results) result.dispose();
        },
        values: () => call().data(),
        dispose() {
          for (const input of inputs) input.dispose();
        },
      };
    },
  };
}

function functionOf({ numpy, lax, nn }: Jax, workload: Workload): JaxFunction {
  switch (workload.kind) {
    case "matmul":
      return (a, b) => numpy.matmul(a, b);
    case "conv2d": {
      const { stride, padding } = workload;
      return (x, weight) => lax.convGeneralDilated(x, weight, [stride, stride], [[padding, padding], [padding, padding]]);
    }
    case "softmax":
      return (x) => nn.softmax(x, -1);
    case "layerNorm":
      return (x, weight, bias) => nn.standardize(x, -1).mul(weight).add(bias);
    default:
      return workload satisfies never;
  }
}
