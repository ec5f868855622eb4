import { describe, expect, test } from "vitest";
import { dropout } from "../../src/autograd/ops/dropout.ts";
import { DeviceGenerator } from "../../src/autograd/random.ts";
import { recorded } from "../../src/autograd/recorded.ts";
import { tensor, Tensor } from "../../src/autograd/tensor.ts";
import { run } from "../../src/autograd/run.ts";
import { dropout as dropoutKernel } from "../../src/kernels/dropout.ts";
import { threefry } from "../../src/core/rng.ts";
import { useDevice } from "../device.ts";
import { dropoutCase, isKept } from "./dropout.ts";
import { testOp } from "./harness.ts";

testOp(dropoutCase);

describe("DeviceGenerator", () => {
  const device = useDevice({ adapter: "software" });
  const SIZE = 64;
  const P = 0.5;

  /** The mask of a draw, by the host's generator. */
  function maskOf(counter: number): number[] {
    return Array.from({ length: SIZE }, (_, i) => (isKept(i, { p: P, seed: 11, stream: 2, counter }) ? 2 : 0));
  }

  function ones(): Tensor {
    return tensor(device(), new Float32Array(SIZE).fill(1), [SIZE]);
  }

  test("each draw has other numbers", async () => {
    using _scope = device().scope();
    const generator = new DeviceGenerator(device(), 11, 2);
    for (const draw of [0, 1, 2]) expect([...(await dropout(ones(), P, generator).read())]).toEqual(maskOf(draw));
    expect(generator.state).toEqual({ seed: 11, stream: 2, counter: 3 });
  });

  test("p = 0 gives x itself and takes no draw", () => {
    using _scope = device().scope();
    const generator = new DeviceGenerator(device(), 11, 2);
    const x = ones();
    expect(dropout(x, 0, generator)).toBe(x);
    expect(generator.state.counter).toBe(0);
  });

  /** A step with two draws, whose gradient must have the same masks as its forward pass. */
  function stepWith(generator: DeviceGenerator): (values: Float32Array) => Promise<number[][]> {
    const step = recorded(device(), "dropout step", (input) => {
      const x = new Tensor(input.device, input.shape, "f32", input.storage, true);
      const [first, second] = [dropout(x, P, generator), dropout(x, P, generator)];
      first.backward(input);
      return { first, second, dx: x.grad! };
    });
    return async (data) => {
      const { first, second, dx } = await step.run({ shape: [SIZE], data });
      return [[...(await first.read())], [...(await second.read())], [...(await dx.read())]];
    };
  }

  test("in a recording, each replay and each draw in it has other numbers, and goes on from a state", async () => {
    const generator = new DeviceGenerator(device(), 11, 2);
    const step = stepWith(generator);
    const data = new Float32Array(SIZE).fill(1);
    for (const replay of [0, 1, 2]) {
      expect(await step(data)).toEqual([maskOf(2 * replay), maskOf(2 * replay + 1), maskOf(2 * replay)]);
    }
    const continued = new DeviceGenerator(device(), 0);
    continued.state = generator.state;
    expect(await stepWith(continued)(data)).toEqual([maskOf(6), maskOf(7), maskOf(6)]);
    expect(continued.state.counter).toBe(8);
  });

  test("the counter carries into its upper word", async () => {
    using _scope = device().scope();
    const draw = tensor(device(), Uint32Array.of(11, 2, 0xffffffff, 5), [4]);
    const found = [...(await run(dropoutKernel, [ones(), draw], { p: P })[0].read())];
    const expected = found.map((_, i) => {
      const j = 0xffffffff + (i >>> 1);
      return threefry(11, 2, j % 2 ** 32, 5 + Math.floor(j / 2 ** 32))[i % 2] >>> 8 >= 2 ** 23 ? 2 : 0;
    });
    expect(found).toEqual(expected);
  });
});
