import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { recorded } from "../src/autograd/recorded.ts";
import { run } from "../src/autograd/run.ts";
import { tensor, Tensor } from "../src/autograd/tensor.ts";
import { parsePreference } from "../src/device/adapter.ts";
import { requestDevice } from "../src/device/device.ts";
import { binary } from "../src/kernels/binary.ts";
import type { Kernel } from "../src/kernels/kernel.ts";
import { useDevice } from "./device.ts";

const plus = (a: Tensor, b: Tensor): Tensor => run(binary, [a, b], { fn: "add" })[0];
const vector = (...values: number[]): { shape: number[]; data: Float32Array<ArrayBuffer> } => ({ shape: [values.length], data: new Float32Array(values) });

/** A kernel whose WGSL does not compile. */
const broken: Kernel = {
  name: "brokenKernel",
  infer: ([x]) => [{ shape: x.shape, dtype: "f32" }],
  cost: () => ({ flops: 0, bytes: 0 }),
  program: () => ({ wgsl: "@group(0) @binding(0) var<storage, read> x: array<f32>;\n@group(0) @binding(1) var<storage, read_write> y: array<f32>;\n\n@compute @workgroup_size(1)\nfn main() {\n  y[0] = x[0] + nonsense;\n}", grid: [1, 1, 1] }),
};

describe("device", () => {
  const device = useDevice({ adapter: "software" });

  test("says in one line which adapter runs and why", () => {
    expect(device().summary).toMatch(/^software adapter: .+; .+$/);
    expect(device().summary).not.toContain("\n");
  });

  test("takes the adapter's real limits", () => {
    expect(device().limits.maxStorageBufferBindingSize).toBeGreaterThan(128 * 2 ** 20); // the default that one gets without asking
    expect(device().limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
  });

  test("lowered limits reach the kernels' checks", async () => {
    const small = await requestDevice({ adapter: "software", limits: { maxStorageBufferBindingSize: 256 } });
    const x = tensor(small, new Float32Array(65), [65]);
    expect(() => run(broken, [x], {})).toThrow(/brokenKernel: a tensor of shape \[65\] takes 260 bytes; this adapter binds at most 256/);
    await small.close();
  });

  test("a WGSL error shows the op, line, column and the source around it", async () => {
    const step = recorded(device(), "bad step", (x) => ({ y: run(broken, [x], {})[0] }));
    const failure = await step.run(vector(1)).then(() => "", (error: Error) => error.message);
    expect(failure).toContain("pipeline of brokenKernel: WGSL error at line 6, column 17");
    expect(failure).toContain(`    6 |   y[0] = x[0] + nonsense;\n${" ".repeat(24)}^`);
  });

  test("an error outside of a recording names the op too", async () => {
    const x = tensor(device(), new Float32Array([1]), [1]);
    await expect(run(broken, [x], {})[0].read()).rejects.toThrow(/brokenKernel/);
    expect(Array.from(await plus(x, x).read())).toEqual([2]);
  });

  test("a buffer beyond the adapter's limit is refused with the numbers", () => {
    const bytes = device().gpu.limits.maxBufferSize + 1;
    expect(() => device().buffers.acquire(bytes, "huge tensor")).toThrow(/huge tensor: needs a buffer of \d+ bytes; this adapter allows \d+/);
  });

  test("a lost device says so, and later calls fail with the way back", async () => {
    const doomed = await requestDevice({ adapter: "software" });
    const x = tensor(doomed, new Float32Array([1]), [1]);
    doomed.gpu.destroy();
    expect(await doomed.lost).toMatch(/destroyed/);
    await expect(x.read()).rejects.toThrow(/the device was lost .*requestDevice\(\)/);
  });

  test("an unknown preference is refused", () => {
    expect(() => parsePreference("gpu")).toThrow('SIGHTLINE_ADAPTER: must be auto, hardware or software; got "gpu"');
  });

  test("an open device with work under way neither holds nor crashes the process", () => {
    const script = `
      import { requestDevice } from "./src/device/device.ts";
      import { tensor } from "./src/autograd/tensor.ts";
      import { run } from "./src/autograd/run.ts";
      import { binary } from "./src/kernels/binary.ts";
      const device = await requestDevice({ adapter: "software" });
      let x = tensor(device, new Float32Array(1 << 20), [1 << 20]);
      for (let i = 0; i < 20; i++) x = run(binary, [x, x], { fn: "add" })[0];
      device.flush();
      console.log("done");
    `;
    const bundle = execFileSync("npx", ["esbuild", "--bundle", "--platform=node", "--format=esm", "--packages=external", "--loader=ts"], { input: script, encoding: "utf8" });
    const output = execFileSync("node", ["--input-type=module", "-e", bundle], { encoding: "utf8", timeout: 60_000 });
    expect(output).toBe("done\n");
  });
});

describe("recordings", () => {
  const device = useDevice({ adapter: "software" });

  test("replay gives what the ops give one by one", async () => {
    const a = tensor(device(), new Float32Array([1, 2, 3]), [3]);
    const step = recorded(device(), "sum", (x) => ({ twice: plus(x, x), sum: plus(plus(x, a), x) }));
    for (const values of [[1, 1, 1], [0.5, -2, 8]]) {
      const { twice, sum } = await step.run(vector(...values));
      expect(Array.from(await twice.read())).toEqual(values.map((x) => 2 * x));
      expect(Array.from(await sum.read())).toEqual(values.map((x, i) => 2 * x + i + 1));
    }
  });

  test("outputs live until the step is disposed, and say so", async () => {
    const step = recorded(device(), "double", (x) => ({ y: plus(x, x) }));
    const { y } = await step.run(vector(1, 2));
    expect(() => y.dispose()).toThrow(/dispose: ".*" is an output of the recorded step "double", which writes it at each run/);
    expect(Array.from(await y.read())).toEqual([2, 4]);
    step.dispose();
    await expect(y.read()).rejects.toThrow(/has no memory of its own: it was disposed/);
  });

  test("trace the function once for each set of shapes", async () => {
    let traces = 0;
    const step = recorded(device(), "count", (x) => {
      traces++;
      return { y: plus(x, x) };
    });
    for (const size of [2, 3, 2, 3, 2]) {
      const { y } = await step.run({ shape: [size], data: new Float32Array(size).fill(size) });
      expect(Array.from(await y.read())).toEqual(Array.from({ length: size }, () => 2 * size));
    }
    expect(traces).toBe(2);
  });

  test("drop what nobody needs, and share memory between what does not live at the same time", async () => {
    const before = device().scratch.length;
    const step = recorded(device(), "chain", (x) => {
      let y = x;
      for (let i = 0; i < 30; i++) {
        plus(x, x);
        y = plus(y, x);
      }
      return { y };
    });
    const { y } = await step.run({ shape: [5000], data: new Float32Array(5000).fill(1) });
    expect((await y.read())[4999]).toBe(31);
    expect(step.recording?.dispatches).toBe(30);
    expect(device().scratch.length - before).toBeLessThanOrEqual(2);
  });

  test("200 steps leave the number and the bytes of live buffers as they are", async () => {
    const state = tensor(device(), new Float32Array(1000), [1000]);
    const step = recorded(device(), "leak", (x) => ({ y: plus(plus(x, state), x) }));
    const input = { shape: [1000], data: new Float32Array(1000).fill(2) };
    await (await step.run(input)).y.read();
    const before = device().memory();
    for (let i = 0; i < 200; i++) {
      const { y } = await step.run(input);
      if (i % 10 === 0) await y.read();
    }
    await device().idle();
    expect(device().memory()).toEqual(before);
  });

  test("a scope gives back what was made in it, and keeps what it is told to", async () => {
    const before = device().memory().liveBuffers;
    let kept: Tensor;
    {
      using _scope = device().scope();
      const x = tensor(device(), new Float32Array([1, 2]), [2]);
      kept = plus(plus(x, x), x).keep();
    }
    expect(device().memory().liveBuffers).toBe(before + 1);
    expect(Array.from(await kept.read())).toEqual([3, 6]);
    kept.dispose();
    expect(device().memory().liveBuffers).toBe(before);
    await expect(kept.read()).rejects.toThrow(/has no memory of its own: it was disposed/);
  });

  test("reading inside a recording is refused", async () => {
    let failure: Promise<unknown> = Promise.resolve();
    const step = recorded(device(), "reader", (x) => {
      failure = x.read().catch((error: Error) => error.message);
      return { y: plus(x, x) };
    });
    await step.run(vector(1));
    expect(await failure).toMatch(/cannot be read while "reader" is being recorded \(return it from the recorded function/);
  });

  test("an intermediate cannot be read later: its memory serves other recordings", async () => {
    let inner: Tensor | undefined;
    const step = recorded(device(), "inner", (x) => ({ y: plus((inner = plus(x, x)), x) }));
    await step.run(vector(1));
    await expect(inner!.read()).rejects.toThrow(/intermediate of a recording \(return it from the recorded function\)/);
  });

  test("runs that are not awaited keep their own inputs and outputs", async () => {
    const step = recorded(device(), "twice", (x) => ({ y: plus(x, x) }));
    const results = await Promise.all([1, 2, 3, 4].map(async (value) => Array.from(await (await step.run(vector(value))).y.read())));
    expect(results).toEqual([[2], [4], [6], [8]]);
  });

  test("wrong inputs are refused", async () => {
    const step = recorded(device(), "checked", (x) => ({ y: plus(x, x) }));
    await expect(step.run({ shape: [3], data: new Float32Array(2) })).rejects.toThrow("checked: an input of shape [3] needs 3 values; got 2");
    await expect(step.run({ shape: [0], data: new Float32Array(0) })).rejects.toThrow(/every size must be a whole number of at least 1; got \[0\]/);
  });
});
