import type { Shape } from "../../src/core/shape.ts";
import { inputShapes, inputValues, type Contender, type Workload } from "./contender.ts";
import { peerVersion, requirePeer } from "./install.ts";

const CORE = "@tensorflow/tfjs-core";
const BACKEND = "@tensorflow/tfjs-backend-webgpu";

interface TfTensor {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** What is used of TensorFlow.js. */
interface TensorFlow {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  tidy<T>(action: () => T): T;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  conv2d(x: TfTensor, filter: TfTensor, stride: number, padding: number | "valid"): TfTensor;
  softmax(x: TfTensor, axis: number): TfTensor;
  moments(x: TfTensor, axis: number, keepDims: boolean): { mean: TfTensor; variance: TfTensor };
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor): TfTensor;
  mul(a: TfTensor, b: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  slice(x: TfTensor, begin: readonly number[], size: readonly number[]): TfTensor;
}

/** TensorFlow.js on its WebGPU backend, with its own layouts: N H W C, filters [K, K, C, O]. */
export async function tfjs(): Promise<Contender> {
  const library = requirePeer(CORE) as TensorFlow;
  requirePeer(BACKEND);
  if (!(await library.setBackend("webgpu"))) throw new Error(`${BACKEND} found no WebGPU adapter`);
  await library.ready();
  return {
    name: "tfjs-webgpu",
    version: peerVersion(BACKEND),
    async prepare(workload) {
      const shapes = inputShapes(workload);
      const inputs = inputValues(workload).map((data, i) => {
        const order = workload.kind === "conv2d" ? CONV_ORDERS[i] : undefined;
        return order === undefined ? library.tensor(data, shapes[i]) : library.tensor(permuted(data, shapes[i], order), order.map((axis) => shapes[i][axis]));
      });
      const call = (): TfTensor => library.tidy(() => apply(library, workload, inputs));
      return {
        async run(times) {
          for (let i = 1; i < times; i++) call().dispose();
          const last = call();
          // One value: reading it submits what waits, and ends after all that came before.
          const one = library.slice(last, last.shape.map(() => 0), last.shape.map(() => 1));
          await one.data();
          one.dispose();
          last.dispose();
        },
        async values() {
          const result = call();
          const values = await result.data();
          result.dispose();
          return values;
        },
        dispose() {
          for (const input of inputs) input.dispose();
        },
      };
    },
  };
}

const CONV_ORDERS: readonly (readonly number[])[] = [[0, 2, 3, 1], [2, 3, 1, 0]];

function apply(library: TensorFlow, workload: Workload, [x, second, third]: readonly TfTensor[]): TfTensor {
  switch (workload.kind) {
    case "matmul":
      return library.matMul(x, second);
    case "conv2d":
      return library.conv2d(x, second, workload.stride, workload.padding === 0 ? "valid" : workload.padding);
    case "softmax":
      return library.softmax(x, -1);
    case "layerNorm": {
      const { mean, variance } = library.moments(x, -1, true);
      const normal = library.mul(library.sub(x, mean), library.rsqrt(library.add(variance, 1e-5)));
      return library.add(library.mul(normal, second), third);
    }
    default:
      return workload satisfies never;
  }
}

/** Values of a tensor with its axes in another order. */
function permuted(data: Float32Array, shape: Shape, order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, n) => product * n, 1));
  const sizes = order.map((axis) => shape[axis]);
  const index = sizes.map(() => 0);
  return Float32Array.from(data, () => {
    const value = data[index.reduce((sum, i, axis) => sum + i * strides[order[axis]], 0)];
    for (let axis = sizes.length - 1; axis >= 0 && ++index[axis] === sizes[axis]; axis--) index[axis] = 0;
    return value;
  });
}
