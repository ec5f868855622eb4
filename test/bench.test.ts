import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { benchCases } from "../bench/cases.ts";
import { readEnvironment } from "../bench/environment.ts";
import { measureCase } from "../bench/kernels.ts";
import { calibrate, measure, spreadOf, summarize, type Summary } from "../bench/measure.ts";
import { idealSeconds, measurePeak } from "../bench/peak.ts";
import { inputShapes, inputValues, workOf, type Workload } from "../bench/peers/contender.ts";
import { ours } from "../bench/peers/ours.ts";
import { hostLines, kernelHeader, kernelRow, peerRatio, peerRow, peerVerdicts } from "../bench/report.ts";
import { compareResults, makeResults, readResults, writeResults, type Results } from "../bench/results.ts";
import { bytes, digits, duration, header, percent, row } from "../bench/table.ts";
import { ALL_CASES, opCasesOf } from "./ops/index.ts";
import { at, type OpCase, type Reference } from "./ops/op-case.ts";
import { matmulCase } from "./ops/matmul.ts";
import { useDevice } from "./device.ts";

const device = useDevice({ adapter: "software" });
const folder = mkdtempSync(join(tmpdir(), "bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

const exactly = (median: number): Summary => ({ median, q1: median, q3: median, samples: 5 });

describe("measuring", () => {
  test("median and quartiles", () => {
    expect(summarize([5, 1, 4, 2, 3])).toEqual({ median: 3, q1: 2, q3: 4, samples: 5 });
    expect(summarize([1, 2])).toEqual({ median: 1.5, q1: 1.25, q3: 1.75, samples: 2 });
    expect(spreadOf({ median: 4, q1: 3, q3: 5, samples: 9 })).toBe(0.5);
    expect(() => summarize([])).toThrow(/at least one value/);
  });

  test("short runs are repeated until the clock can be trusted, long ones are not", async () => {
    const lasting = (seconds: number) => async (times: number): Promise<number> => times * seconds;
    expect(await calibrate(lasting(0.001), 0.1)).toBe(100);
    expect(await calibrate(lasting(3), 0.1)).toBe(1);
    expect(await calibrate(lasting(1e-9), 0.1, 50)).toBe(50);
  });

  test("the first run does not count, and a run beyond the patience is not repeated", async () => {
    const asked: number[] = [];
    const slowFirst = async (times: number): Promise<number> => (asked.push(times) === 1 ? 0.9 : 0.1 * times);
    const time = (await measure(slowFirst, 0.01, Infinity, 0.5)) as Summary;
    expect(time.median).toBeCloseTo(0.1);
    expect(time.samples).toBeGreaterThanOrEqual(5);
    expect(await measure(async () => 9, 0.01, Infinity, 0.5)).toEqual({ tooLong: 9 });
  });

  test("the peak of an adapter, and the time that a cost takes at least", async () => {
    const peak = await measurePeak(device(), 0.02);
    expect(peak.flops).toBeGreaterThan(1e7);
    expect(peak.bandwidth).toBeGreaterThan(1e6);
    expect(idealSeconds({ flops: 10, bytes: 10 }, { flops: 5, bandwidth: 10 })).toBe(2);
    expect(idealSeconds({ flops: 10, bytes: 10 }, { flops: 10, bandwidth: 5 })).toBe(2);
  });
});

describe("op cases", () => {
  test("every file of op cases is measured", async () => {
    const measured = new Set(ALL_CASES);
    const names = readdirSync(join(import.meta.dirname, "ops")).flatMap((file) => /^([a-z0-9-]+)\.ts$/.exec(file)?.[1] ?? []);
    for (const name of names.filter((other) => !["harness", "index", "measure", "op-case"].includes(other))) {
      const found = opCasesOf((await import(`./ops/${name}.ts`)) as Record<string, unknown>);
      expect(found.filter((opCase) => !measured.has(opCase)), `test/ops/index.ts must import test/ops/${name}.ts`).toEqual([]);
    }
  });

  test("names tell them apart", () => {
    const names = benchCases().map(({ op, sample }) => `${op} ${sample}`);
    expect(names).toEqual([...new Set(names)]);
  });

  test("an op is measured forward and backward, from its kernels' cost rules, and leaves no memory behind", async () => {
    const sample = { name: "8×16 · 16×4", inputs: [{ shape: [8, 16] }, { shape: [16, 4] }], attrs: {} };
    const benchCase = { op: "matmul", sample: sample.name, opCase: matmulCase as OpCase<unknown>, inputs: sample.inputs, attrs: {} };
    const before = device().memory();
    const times = await measureCase(device(), benchCase, { flops: 1e9, bandwidth: 1e9 }, 0.02);
    expect(times.map(({ direction }) => direction)).toEqual(["forward", "backward"]);
    expect(times.map(({ cost }) => cost.flops)).toEqual([2 * 8 * 16 * 4, 2 * 2 * 8 * 16 * 4]);
    expect(times[1].kernels).toEqual({ matmul: 2 });
    for (const { time } of times) expect((time as Summary).median).toBeGreaterThan(0);
    expect(device().memory().liveBuffers).toBe(before.liveBuffers);

    const lines = [kernelHeader(), ...times.map((time) => kernelRow(time, { flops: 1e9, bandwidth: 1e9 }))];
    // eslint-disable-next-line no-control-regex
    for (const line of lines) expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f]/);
    expect(lines[1]).toMatch(/^matmul 8×16 · 16×4 +forward +1 /);
  });

  test("what would take too long is left out, and said", async () => {
    const [benchCase] = benchCases().filter(({ op }) => op === "matmul");
    const [time, ...rest] = await measureCase(device(), benchCase, { flops: 1, bandwidth: 1e9 }, 0.01);
    expect(rest).toEqual([]);
    expect(kernelRow(time, { flops: 1, bandwidth: 1e9 })).toMatch(/left out: about \d+ s a run/);
  });
});

describe("tables", () => {
  const columns = [{ title: "name", width: 6, align: "left" as const }, { title: "time", width: 8 }];

  test("cells stand under their titles, and long text is cut", () => {
    expect(header(columns).split("\n")).toEqual(["name        time", "------  --------"]);
    expect(row(columns, ["matmul of many", "1.00 ms"])).toBe("matmu…   1.00 ms");
  });

  test("numbers have the digits that matter, and units that suit them", () => {
    expect([0.1234, 1.234, 12.34, 123.4, Infinity].map(digits)).toEqual(["0.123", "1.23", "12.3", "123", "-"]);
    expect([2.5, 0.0123, 4e-6].map(duration)).toEqual(["2.50 s", "12.3 ms", "4.00 µs"]);
    expect([0.01234, 0.5].map(percent)).toEqual(["1.2 %", "50 %"]);
    expect([512, 3 * 2 ** 20, 5 * 2 ** 30].map(bytes)).toEqual(["0.500 KiB", "3.00 MiB", "5.00 GiB"]);
  });
});

describe("results", () => {
  function results(seconds: number, ops: readonly string[]): Results {
    const environment = readEnvironment(device(), new Date("2026-01-02T03:04:05Z"));
    const peak = { flops: 1e9, flopsTime: exactly(1), bandwidth: 1e9, bandwidthTime: exactly(1) };
    const kernels = ops.map((op) => ({ op, sample: "8", direction: "forward" as const, kernels: { [op]: 1 }, cost: { flops: 8, bytes: 8 }, time: exactly(seconds) }));
    return makeResults({ environment, peak, kernels, steps: [], shares: [], host: null, peers: [] });
  }

  test("are written with their environment and read back", () => {
    const written = results(1, ["relu"]);
    const file = writeResults(written, join(folder, "results"));
    expect(file).toMatch(/20260102T030405Z-google-swiftshader.*\.json$/);
    expect(readResults(file)).toEqual(JSON.parse(readFileSync(file, "utf8")));
    expect(written.environment.versions.node).toBe(process.versions.node);
    expect(written.environment.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
  });

  test("are compared by name", () => {
    const { rows, onlyA, onlyB } = compareResults(results(2, ["relu", "tanh"]), results(1, ["relu", "gelu"]));
    expect(rows.map(({ name, ratio, unclear }) => [name, ratio, unclear])).toEqual([
      ["peak: FMA loop", 1, true],
      ["peak: copy", 1, true],
      ["relu 8 forward", 0.5, false],
    ]);
    expect([onlyA, onlyB]).toEqual([1, 1]);
  });

  test("other files are refused", () => {
    const file = join(folder, "other.json");
    expect(() => readResults(file)).toThrow(/cannot be read as results/);
    writeFileSync(file, '{"format": 7}');
    expect(() => readResults(file)).toThrow(/expected results of format 1; got 7/);
  });

  test("numbers that are wanted are held against what was found", () => {
    const peers = { workload: "matmul 512×512 · 512×512", flops: 1e9, times: { sightline: exactly(1), "jax-js": exactly(1.4), "tfjs-webgpu": "wrong" } };
    expect(peerVerdicts([peers])[0]).toMatch(/1\.40 times as fast as jax-js \(at least 1\.5 wanted\): MISSED/);
    expect(peerRatio(peers, "tfjs-webgpu")).toBeNull();
    expect(peerRow(peers)).toMatch(/1\.00 s +1\.40 s +failed +1\.00 +1\.40 +-$/);
    expect(hostLines({ dispatches: 200, replay: exactly(5e-6), bare: exactly(4e-6), ratio: 1.25 }).at(-1)).toMatch(/1\.25 \(at most 2 wanted\): reached/);
  });
});

describe("workloads for several libraries", () => {
  test("work is counted the same for all", () => {
    expect(workOf({ kind: "matmul", a: [4, 8], b: [8, 2] })).toEqual({ flops: 128, bytes: 4 * (32 + 16 + 8) });
    expect(workOf({ kind: "conv2d", x: [1, 2, 8, 8], weight: [3, 2, 3, 3], stride: 2, padding: 1 })).toEqual({ flops: 2 * 48 * 18, bytes: 4 * (128 + 54 + 48) });
  });

  test("what this library computes of one is right", async () => {
    const workload: Workload = { kind: "matmul", a: [3, 4], b: [4, 2] };
    const [a, b] = inputValues(workload).map((data, i): Reference => ({ shape: inputShapes(workload)[i], data: Float64Array.from(data) }));
    const prepared = (await ours(device(), "test").prepare(workload))!;
    const values = await prepared.values();
    for (let i = 0; i < 6; i++) {
      const expected = [0, 1, 2, 3].reduce((sum, k) => sum + at(a, i >> 1, k) * at(b, k, i & 1), 0);
      expect(values[i]).toBeCloseTo(expected, 5);
    }
    await prepared.run(3);
    prepared.dispose();
  });
});
