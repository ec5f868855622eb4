import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { loadSafetensors, openCheckpoint, saveSharded } from "../src/checkpoint/files.ts";
import { readSafetensors } from "../src/checkpoint/safetensors.ts";
import { decodeTensor, encodeTensor, STORED_BYTES, type StoredDType, type StoredTensor } from "../src/checkpoint/stored.ts";
import { PickleGlobal, type PickleValue } from "../src/checkpoint/torch/pickle-values.ts";
import { convert, type ConvertOptions } from "../src/cli/convert.ts";
import { showFailure } from "../src/cli/failure.ts";
import { byteSize, table } from "../src/core/format.ts";
import { inspect, type InspectOptions } from "../src/cli/inspect.ts";
import { byteCount } from "../src/cli/options.ts";
import { plainJson, showValue } from "../src/cli/pickle-format.ts";
import { toFloat16Bits } from "../src/core/float16.ts";
import { useCommandLine, type Ended } from "./cli.ts";

const cli = useCommandLine();
const golden = (file: string): string => fileURLToPath(new URL(`golden/checkpoints/${file}`, import.meta.url));

/** A tensor of each type; every value can be held by the type and, of the floats, by f16. */
const STORED: ReadonlyMap<string, StoredTensor & { readonly values: readonly number[] }> = new Map(
  (Object.keys(STORED_BYTES) as StoredDType[]).map((dtype) => {
    const values = dtype === "BOOL" ? [0, 1, 1] : /^[UB]/.test(dtype) && dtype !== "BF16" ? [0, 1, 200] : /^[FB]/.test(dtype) ? [-1.5, 0.25, 3] : [-100, 0, 100];
    return [`x.${dtype}`, { dtype, shape: [3], values }];
  }),
);

/** Writes tensors in the types of a file. */
async function write(name: string, tensors: ReadonlyMap<string, StoredTensor & { readonly values: readonly number[] }>, metadata: Record<string, string> = {}): Promise<string> {
  const path = cli.path(name);
  const host = (dtype: StoredDType, values: readonly number[]) => (/^(F|BF)/.test(dtype) ? Float32Array.from(values) : dtype === "U32" ? Uint32Array.from(values) : Int32Array.from(values));
  const stored = new Map([...tensors].map(([key, { dtype, shape }]) => [key, { dtype, shape }]));
  await saveSharded(path, { tensors: stored, metadata, bytesOf: (key) => [encodeTensor(host(tensors.get(key)!.dtype, tensors.get(key)!.values), tensors.get(key)!.dtype)] });
  return path;
}

/** Runs a verb as the command line does, without starting a process. */
async function call(verb: () => Promise<number>): Promise<Ended> {
  const texts = { stdout: "", stderr: "" };
  const capture = (name: keyof typeof texts): void => {
    vi.spyOn(process[name], "write").mockImplementation((text) => {
      texts[name] += String(text);
      return true;
    });
  };
  capture("stdout");
  capture("stderr");
  try {
    return { code: await verb(), ...texts };
  } catch (error) {
    return { code: 1, stdout: texts.stdout, stderr: `${showFailure(error, false)}\n` };
  } finally {
    vi.restoreAllMocks();
  }
}

const inspected = (file: string, options: InspectOptions = {}): Promise<Ended> => call(() => inspect(file, options));
const converted = (input: string, output: string, options: ConvertOptions = {}): Promise<Ended> => call(() => convert(cli.path(input), cli.path(output), options));

const lines = ({ code, stdout, stderr }: Ended): string[] => {
  expect(stderr).toBe("");
  expect(code).toBe(0);
  return stdout.trimEnd().split("\n");
};

function errorOf({ code, stderr }: Ended): string {
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: .+\n$/);
  return stderr;
}

beforeAll(async () => {
  await write("all.safetensors", STORED, { note: "n".repeat(300), format: "pt" });
  const resnet = ["conv1.weight", "layer1.0.conv1.weight"].map((key) => [`module.${key}`, { dtype: "F32", shape: [2, 2], values: [NaN, -1, 4, 2] }] as const);
  await write("resnet.safetensors", new Map(resnet));
});

describe("sightline inspect", () => {
  test("prints format, metadata, layout, counts and every tensor", async () => {
    const printed = lines(await cli.run("inspect", "resnet.safetensors"));
    expect(printed).toEqual([
      "resnet.safetensors",
      "  format   safetensors",
      "  layout   torchvision ResNet under module.",
      "  tensors  2, with 8 parameters in 32 bytes",
      "",
      "tensor                        dtype  shape   bytes",
      "module.conv1.weight           F32    [2, 2]     16",
      "module.layer1.0.conv1.weight  F32    [2, 2]     16",
    ]);
  });

  test("cuts long metadata, and counts only floats as parameters", async () => {
    const printed = lines(await inspected(cli.path("all.safetensors")));
    expect(printed).toContain(`  note    ${"n".repeat(100)}… (300 characters)`);
    expect(printed).toContain("  layout   none that is known");
    expect(printed).toContain("  tensors  12, with 12 parameters in 117 bytes");
    for (const [name, { dtype }] of STORED) expect(printed.filter((line) => line.startsWith(name) && line.includes(` ${dtype} `)), name).toHaveLength(1);
  });

  test("keeps a name with line breaks in its row", async () => {
    await write("broken.safetensors", new Map([["a\nb\t\u001b[31m", { dtype: "F32", shape: [1], values: [1] }]]), { "k\n": "v" });
    const printed = lines(await inspected(cli.path("broken.safetensors")));
    expect(printed.at(-1)).toBe("a\\u000ab\\u0009\\u001b[31m  F32    [1]        4");
    expect(printed).toContain("  k\\u000a  v");
  });

  test("reads values on demand", async () => {
    const printed = lines(await inspected(cli.path("resnet.safetensors"), { values: true }));
    expect(printed.at(-1)).toMatch(/^module\.layer1\.0\.conv1\.weight +F32 +\[2, 2\] +16 +-1 +4 +1\.667 +1$/);
  });

  test("prints one JSON object", async () => {
    const { stdout } = await cli.run("inspect", "resnet.safetensors", "--json", "--values");
    expect(stdout.trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(stdout)).toEqual({
      file: "resnet.safetensors",
      format: "safetensors",
      metadata: {},
      layouts: [{ name: "torchvision ResNet", prefix: "module." }],
      tensors: ["module.conv1.weight", "module.layer1.0.conv1.weight"].map((name) => ({ name, dtype: "F32", shape: [2, 2], bytes: 16, min: -1, max: 4, mean: 5 / 3, nan: 1 })),
    });
  });

  test.each(["training.pt", "training-legacy.pt"])("shows what stands beside the tensors of %s", async (file) => {
    const printed = lines(await inspected(golden(file))).join("\n");
    expect(printed).toContain("beside the tensors\n  epoch ");
    expect(printed).toMatch(/args\.name +"run"/);
    expect(printed).toMatch(/param_groups\.0\.betas +\[0\.9, 0\.999\]/);
    const { values } = JSON.parse((await inspected(golden(file), { json: true })).stdout) as { values: Record<string, unknown> };
    expect(values).toMatchObject({ epoch: 3, args: { class: "argparse.Namespace", state: { lr: 0.001 } }, optimizer_state_dict: { param_groups: [{ betas: [0.9, 0.999] }] } });
  });

  test.each([
    ["nothing.safetensors", "nothing.safetensors: there is no such file"],
    [".", ": a folder must hold model.safetensors, "],
    ["page.safetensors", "page.safetensors: a checkpoint must be a safetensors or PyTorch file, or the index of one in several files; got a web page"],
  ])("refuses %s in one line", async (file, message) => {
    writeFileSync(cli.path("page.safetensors"), "<!doctype html><p>Sign in</p>");
    expect(errorOf(await inspected(cli.path(file)))).toContain(message);
  });
});

describe("sightline convert", () => {
  test("keeps the types that can be kept, and says where the file came from", async () => {
    const { code, stdout, stderr } = await cli.run("convert", "all.safetensors", "same.safetensors");
    expect({ code, stdout }).toEqual({ code: 0, stdout: "same.safetensors\n" });
    expect(stderr).toMatch(/^1 tensor of F64 became F32\n12 tensors, 105 bytes, in .+\n$/);
    const before = await openCheckpoint(cli.path("all.safetensors"));
    const after = await openCheckpoint(cli.path("same.safetensors"));
    expect(after.metadata).toEqual({ note: "n".repeat(300), format: "pt", source: "all.safetensors (safetensors)" });
    for (const [name, { dtype, shape, values }] of STORED) {
      expect(after.tensors.get(name), name).toMatchObject({ dtype: dtype === "F64" ? "F32" : dtype, shape });
      expect([...(await after.read(name)).data], name).toEqual(values);
      expect(await after.read(name), name).toEqual(await before.read(name));
    }
    await Promise.all([before.close(), after.close()]);
  });

  test.each([["f16", "F16"], ["bf16", "BF16"], ["f32", "F32"]] as const)("stores floats as %s, integers as they are", async (dtype, stored) => {
    expect((await converted("all.safetensors", `${dtype}.safetensors`, { dtype })).code).toBe(0);
    const reader = await openCheckpoint(cli.path(`${dtype}.safetensors`));
    for (const [name, tensor] of STORED) {
      expect(reader.tensors.get(name)?.dtype).toBe(/\.(F|BF)/.test(name) ? stored : tensor.dtype);
      expect([...(await reader.read(name)).data], name).toEqual(tensor.values);
    }
    await reader.close();
  });

  test("counts what is beyond the range of bf16", async () => {
    await write("wider.safetensors", new Map([["x", { dtype: "F32", shape: [4], values: [3.38e38, 3.4e38, -Infinity, NaN] }]]));
    const { stderr } = await converted("wider.safetensors", "rounded.safetensors", { dtype: "bf16" });
    expect(stderr).toContain("warning: 1 value beyond the range of bf16 became infinite (f32 would not lose them)\n");
    const { data } = (await loadSafetensors(cli.path("rounded.safetensors"))).tensors.get("x")!;
    expect([Number.isFinite(data[0]), ...data.slice(1)]).toEqual([true, Infinity, -Infinity, NaN]);
  });

  test("counts what is beyond the range of f16", async () => {
    await write("wide.safetensors", new Map([["x", { dtype: "F32", shape: [5], values: [65519, 65520, -1e9, Infinity, NaN] }]]));
    const { code, stderr } = await converted("wide.safetensors", "narrow.safetensors", { dtype: "f16" });
    expect(code).toBe(0);
    expect(stderr).toContain("warning: 2 values beyond the range of f16 became infinite (bf16 would not lose them)\n");
    expect([...(await loadSafetensors(cli.path("narrow.safetensors"))).tensors.get("x")!.data]).toEqual([65504, Infinity, -Infinity, Infinity, NaN]);
  });

  test("reads PyTorch files, and takes a wrapper's module. off", async () => {
    copyFileSync(golden("state-dict.pth"), cli.path("state-dict.pth"));
    expect((await converted("state-dict.pth", "from-torch.safetensors")).code).toBe(0);
    const [torch, written] = await Promise.all([openCheckpoint(cli.path("state-dict.pth")), openCheckpoint(cli.path("from-torch.safetensors"))]);
    expect([...written.tensors.keys()]).toEqual([...torch.tensors.keys()]);
    for (const name of torch.tensors.keys()) expect(await written.read(name), name).toEqual(await torch.read(name));
    expect(written.metadata.source).toBe("state-dict.pth (PyTorch zip)");
    await Promise.all([torch.close(), written.close()]);
    expect((await converted("resnet.safetensors", "bare.safetensors")).code).toBe(0);
    expect([...(await loadSafetensors(cli.path("bare.safetensors"))).tensors.keys()]).toEqual(["conv1.weight", "layer1.0.conv1.weight"]);
  });

  test("cuts large checkpoints into files, and puts them together again", async () => {
    const { code, stdout } = await cli.run("convert", "all.safetensors", "cut.safetensors", "--max-shard", "0.05KB");
    expect(code).toBe(0);
    expect(stdout.split("\n")).toEqual(["cut-00001-of-00003.safetensors", "cut-00002-of-00003.safetensors", "cut-00003-of-00003.safetensors", "cut.safetensors.index.json", ""]);
    expect((await converted("cut.safetensors.index.json", "whole.safetensors")).code).toBe(0);
    const whole = readSafetensors(readFileSync(cli.path("whole.safetensors")), "whole");
    expect([...whole.tensors.keys()]).toEqual([...STORED.keys()]);
    for (const [name, { data }] of whole.tensors) expect([...data], name).toEqual(STORED.get(name)!.values);
    expect(whole.metadata.source).toBe("cut.safetensors.index.json (sharded)");
  });

  test("overwrites only when it is told to, also the file that it reads", async () => {
    await write("mine.safetensors", new Map([["x", { dtype: "F32", shape: [2], values: [1, 2] }]]));
    const before = readFileSync(cli.path("mine.safetensors"));
    expect(errorOf(await converted("all.safetensors", "mine.safetensors"))).toContain("mine.safetensors exists already (choose another name, or overwrite it with --force)");
    expect(readFileSync(cli.path("mine.safetensors")).equals(before)).toBe(true);
    expect((await cli.run("convert", "mine.safetensors", "mine.safetensors", "--force", "--dtype", "f16")).code).toBe(0);
    expect([...(await loadSafetensors(cli.path("mine.safetensors"))).tensors.get("x")!.data]).toEqual([1, 2]);
    expect(statSync(cli.path("mine.safetensors")).size).toBeLessThan(before.length + 100);
  });

  test.each([
    [["all.safetensors", "out.safetensors", "--max-shard", "many"], "'many' is invalid. It must be a size such as 500MB or 2GB."],
    [["all.safetensors", "out.safetensors", "--dtype", "f8"], "Allowed choices are f32, f16, bf16."],
  ])("refuses %j in one line", async (args, message) => {
    expect(errorOf(await cli.run("convert", ...args))).toContain(message);
    expect(existsSync(cli.path("out.safetensors"))).toBe(false);
  });

  test.each([
    ["all.safetensors", "out.bin", "out.bin: the output must end in .safetensors"],
    ["all.safetensors", "no/out.safetensors", "out.safetensors: the folder "],
    ["nothing.pt", "out.safetensors", "nothing.pt: there is no such file"],
    ["large.safetensors", "out.safetensors", 'tensor "x": every I64 must fit into 32 bits; got 1099511627776 at element 1'],
  ])("refuses %s to %s in one line, and leaves nothing behind", async (input, output, message) => {
    const large = readFileSync(await write("large.safetensors", new Map([["x", { dtype: "I64", shape: [2], values: [1, 2] }]])));
    large.writeBigInt64LE(1n << 40n, large.length - 8);
    writeFileSync(cli.path("large.safetensors"), large);
    expect(errorOf(await converted(input, output))).toContain(message);
    expect(existsSync(cli.path("out.safetensors"))).toBe(false);
    expect(readdirSync(cli.folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

describe("encodeTensor", () => {
  const roundTrip = (dtype: StoredDType, data: Float32Array | Int32Array | Uint32Array): number[] => [...decodeTensor(encodeTensor(data, dtype), { dtype, shape: [data.length] }, "x").data];

  test("rounds to the nearest bf16, ties to the even one", () => {
    const [one, step] = [1, 2 ** -7];
    const values = [one + step / 2, one + (3 * step) / 2, one + step / 2 + 2 ** -23, one - step / 8, -one - step / 2, 3.4e38, Infinity, -Infinity, NaN, -0, 2 ** -133, 2 ** -135];
    expect(roundTrip("BF16", Float32Array.from(values))).toEqual([1, 1 + 2 * step, 1 + step, 1, -1, Infinity, Infinity, -Infinity, NaN, -0, 2 ** -133, 0]);
  });

  test("rounds to the nearest f16 at every exponent", () => {
    for (let exponent = -26; exponent <= 17; exponent++) {
      const unit = 2 ** Math.max(exponent - 10, -24);
      for (const units of [0, 0.5, 1, 1.5, 2.5, 1023.5]) {
        const value = 2 ** exponent + units * unit;
        const exact = value / 2 ** Math.max(Math.floor(Math.log2(value)) - 10, -24);
        const [down, rest] = [Math.floor(exact), exact - Math.floor(exact)];
        const rounded = (rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down) * (value / exact);
        expect(roundTrip("F16", Float32Array.of(value, -value)), `${units} units above 2^${exponent}`).toEqual(rounded >= 65536 ? [Infinity, -Infinity] : [rounded, -rounded]);
      }
    }
    expect(toFloat16Bits(65520 - 2 ** -30)).toBe(0x7bff);
  });

  test("gives views where nothing has to be converted", () => {
    for (const data of [Float32Array.of(1, 2), Int32Array.of(-1, 2), Uint32Array.of(1, 4e9)] as const) {
      const dtype = data instanceof Float32Array ? "F32" : data instanceof Int32Array ? "I32" : "U32";
      expect(encodeTensor(data.subarray(1), dtype).buffer).toBe(data.buffer);
      expect(roundTrip(dtype, data)).toEqual([...data]);
    }
    expect(roundTrip("I64", Int32Array.of(-(2 ** 31), 2 ** 31 - 1))).toEqual([-(2 ** 31), 2 ** 31 - 1]);
  });
});

test("keys of dicts are shown as names, whatever they are in Python", () => {
  const value: PickleValue = new Map<PickleValue, PickleValue>([[new PickleGlobal("torch.float32"), 1], [new PickleGlobal("torch.float16"), 2], [[0, "a"], 3], [7, 4]]);
  expect(showValue(value)).toEqual([["torch.float32", "1"], ["torch.float16", "2"], ["(0, a)", "3"], ["7", "4"]]);
  expect(plainJson(value)).toEqual({ "torch.float32": 1, "torch.float16": 2, "(0, a)": 3, 7: 4 });
});

describe("formats", () => {
  test("sizes", () => {
    expect([0, 1, 999, 1000, 548105312, 2.5e9].map(byteSize)).toEqual(["0 bytes", "1 byte", "999 bytes", "1.0 KB", "548.1 MB", "2.5 GB"]);
    expect(["12B", "1.5kb", "500MB", " 2 GB ", "1TB"].map(byteCount)).toEqual([12, 1500, 5e8, 2e9, 1e12]);
    for (const text of ["", "2", "GB", "-1GB", "0GB", "1e3MB", "2 PB"]) expect(() => byteCount(text), text).toThrow("It must be a size");
  });

  test("numbers end at the right", () => {
    expect(table([["name", "bytes"], ["a", "12"], ["long name", "1,200"]], [1])).toEqual(["name       bytes", "a             12", "long name  1,200"]);
  });
});
