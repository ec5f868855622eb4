import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, open, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { loadSafetensors, openSafetensors, saveSafetensors, writeFileAtomically } from "../src/checkpoint/files.ts";
import { matchKeys } from "../src/checkpoint/matching.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { decodeMetadata, encodeMetadata } from "../src/checkpoint/training-state.ts";
import { CheckpointError, InputError } from "../src/core/errors.ts";
import { Generator } from "../src/core/rng.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sightline-checkpoint-"));
  path = join(folder, "model.safetensors");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

const vector = (...values: number[]): HostTensor => ({ dtype: "f32", shape: [values.length], data: new Float32Array(values) });
const valuesAt = async (file: string): Promise<number[]> => [...(await loadSafetensors(file)).tensors.get("x")!.data];

describe("save and load", () => {
  it("round trips tensors and metadata, and leaves no other file", async () => {
    const tensors = new Map<string, HostTensor>([
      ["x", vector(1, 2, 3)],
      ["none", { dtype: "i32", shape: [0, 3], data: new Int32Array(0) }],
      ["one", { dtype: "u32", shape: [], data: new Uint32Array([4_000_000_000]) }],
    ]);
    await saveSafetensors(path, tensors, { note: "ä" });
    expect(await loadSafetensors(path)).toEqual({ tensors, metadata: { note: "ä" } });
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
  });

  it("replaces an older file", async () => {
    await saveSafetensors(path, [["x", vector(1, 2, 3, 4)]]);
    await saveSafetensors(path, [["x", vector(5)]]);
    expect(await valuesAt(path)).toEqual([5]);
  });

  it("reads single tensors of an open file", async () => {
    await saveSafetensors(path, [["x", vector(1)], ["y", vector(2, 3)]]);
    const file = await openSafetensors(path);
    expect([...file.tensors.keys()]).toEqual(["x", "y"]);
    expect([...(await file.read("y")).data]).toEqual([2, 3]);
    await file.close();
  });

  it("names the path of a file that cannot be read", async () => {
    await expect(loadSafetensors(path)).rejects.toThrow(`cannot read ${path}: there is no such file (check the path)`);
    await expect(loadSafetensors(folder)).rejects.toThrow(`cannot read ${folder}: it is a folder`);
    await saveSafetensors(path, [["x", vector(1)]]);
    await expect(loadSafetensors(join(path, "x"))).rejects.toThrow("a part of the path is a file, not a folder");
  });

  it("refuses a damaged file, also one that shrinks while it is open", async () => {
    await saveSafetensors(path, [["x", vector(1, 2, 3)]]);
    const file = await openSafetensors(path);
    await truncate(path, (await readFile(path)).length - 1);
    await expect(file.read("x")).rejects.toThrow("while it is read");
    await file.close();
    await expect(loadSafetensors(path)).rejects.toThrow(`${path}: the header describes a file of`);
    await writeFile(path, "");
    await expect(loadSafetensors(path)).rejects.toThrow("must be at least 8 bytes long; got 0");
  });
});

describe("writeFileAtomically", () => {
  it("takes chunks as they come, empty ones too", async () => {
    async function* chunks(): AsyncIterable<Uint8Array> {
      yield Uint8Array.of(1, 2);
      yield new Uint8Array(0);
      yield Uint8Array.of(3);
    }
    await writeFileAtomically(path, chunks());
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
  });

  it("keeps the old file and removes the temporary one when the content fails", async () => {
    await saveSafetensors(path, [["x", vector(1)]]);
    function* chunks(): Iterable<Uint8Array> {
      yield new Uint8Array(100_000);
      throw new Error("device lost");
    }
    await expect(writeFileAtomically(path, chunks())).rejects.toThrow("device lost");
    expect(await valuesAt(path)).toEqual([1]);
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
  });

  it("writes nothing when the tensors do not make a file", async () => {
    await expect(saveSafetensors(path, [["x", { ...vector(1), shape: [2] }]])).rejects.toThrow(CheckpointError);
    expect(await readdir(folder)).toEqual([]);
  });

  // A full disk cannot be had without mounting one, so the system call's error is injected where it would arise.
  it.each([
    ["ENOSPC", "the disk or the quota is full (free some space or choose another path; a file that was there before is unchanged)"],
    ["EDQUOT", "the disk or the quota is full"],
    ["EFBIG", "the file grew past what the disk or the process allows"],
    ["EACCES", "permission denied (change the permissions, or choose another path)"],
    ["EROFS", "the file system is read-only"],
    ["EIO", "the system answered EIO"],
  ])("keeps the old file when writing or flushing fails with %s", async (code, message) => {
    await saveSafetensors(path, [["x", vector(1)]]);
    const handle = await open(path, "r");
    const prototype = Object.getPrototypeOf(handle) as typeof handle;
    await handle.close();
    for (const call of ["writeFile", "sync"] as const) {
      vi.spyOn(prototype, call).mockRejectedValueOnce(Object.assign(new Error(`${code}: injected`), { code }));
      const failure: unknown = await saveSafetensors(path, [["x", vector(2)]]).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(InputError);
      expect((failure as Error).message).toContain(`cannot write ${path}: ${message}`);
      expect(await valuesAt(path)).toEqual([1]);
      expect(await readdir(folder)).toEqual(["model.safetensors"]);
    }
  });

  it("names the path that cannot be written", async () => {
    const inMissing = join(folder, "runs", "model.safetensors");
    await expect(saveSafetensors(inMissing, [])).rejects.toThrow(`cannot write ${inMissing}: the folder ${join(folder, "runs")} does not exist`);
    await mkdir(path);
    await expect(saveSafetensors(path, [])).rejects.toThrow(`cannot write ${path}: it is a folder (give the path of a file)`);
    await expect(saveSafetensors(join(folder, "n".repeat(300)), [])).rejects.toThrow("the name is too long");
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
  });

  it("keeps the old file when the process is killed while writing; the next write removes what was left", async () => {
    await saveSafetensors(path, [["x", vector(1)]]);
    const script = join(folder, "writer.mjs");
    const entry = fileURLToPath(new URL("../src/checkpoint/files.ts", import.meta.url));
    await build({ entryPoints: [entry], bundle: true, platform: "node", format: "esm", outfile: join(folder, "files.mjs") });
    await writeFile(
      script,
      `import { writeFileAtomically } from "./files.mjs";
      async function* chunks() {
        for (let i = 0; ; i++) {
          yield new Uint8Array(10_000);
          if (i === 10) process.stdout.write("writing");
          if (i >= 10) await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }
      await writeFileAtomically(${JSON.stringify(path)}, chunks());`,
    );
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");

    const leftover = (await readdir(folder)).filter((name) => name.endsWith(".tmp"));
    expect(leftover).toHaveLength(1);
    expect((await readFile(join(folder, leftover[0]))).length).toBeGreaterThan(0);
    expect(await valuesAt(path)).toEqual([1]);

    const ofLivingProcess = `.model.safetensors.${hostname()}-${process.pid}-00000000.tmp`;
    const ofOtherFile = leftover[0].replace(".model.", ".other.");
    for (const name of [ofLivingProcess, ofOtherFile]) await writeFile(join(folder, name), "");
    await saveSafetensors(path, [["x", vector(2)]]);
    expect(await valuesAt(path)).toEqual([2]);
    const kept = (await readdir(folder)).filter((name) => name.endsWith(".tmp"));
    expect(new Set(kept)).toEqual(new Set([ofLivingProcess, ofOtherFile]));
  });
});

describe("matchKeys", () => {
  it("names keys on one line of bearable length, whatever a file calls them", () => {
    const model = new Map([["weight", [1]]]);
    const error = (key: string): string => {
      try {
        matchKeys(model, new Map([[key, [1]]]));
      } catch (cause) {
        return (cause as Error).message;
      }
      return "";
    };
    expect(error("a\n\u001b[2Jb")).toContain("1 unexpected: a\\u000a\\u001b[2Jb (");
    expect(error("x".repeat(1e6)).length).toBeLessThan(600);
  });

  const shapes = (record: Record<string, number[]>): Map<string, number[]> => new Map(Object.entries(record));
  const model = shapes({ "conv.weight": [4, 3], "bn.weight": [4], "bn.num_batches_tracked": [] });

  it("pairs equal keys in the model's order", () => {
    const { assemblies } = matchKeys(model, new Map([...model].reverse()));
    expect([...assemblies]).toEqual([...model.keys()].map((key) => [key, { pieces: [key], transposed: false }]));
  });

  it("takes off a common module. prefix", () => {
    const wrapped = new Map([...model].map(([key, shape]) => [`module.${key}`, shape]));
    expect(matchKeys(model, wrapped).assemblies.get("conv.weight")?.pieces).toEqual(["module.conv.weight"]);
    expect(matchKeys(wrapped, wrapped).assemblies.get("module.conv.weight")?.pieces).toEqual(["module.conv.weight"]);
    wrapped.set("other", [1]);
    expect(() => matchKeys(model, wrapped)).toThrow("4 unexpected: module.conv.weight");
  });

  it("lets ignored keys be absent from either side, but not have another shape", () => {
    const file = shapes({ "conv.weight": [4, 3], "bn.weight": [4], "attn.bias": [1] });
    expect(() => matchKeys(model, file)).toThrow("1 missing: bn.num_batches_tracked; 1 unexpected: attn.bias");
    const ignore = [/(^|\.)num_batches_tracked$/, /attn\.bias$/g];
    for (let i = 0; i < 2; i++) expect([...matchKeys(model, file, { ignore }).assemblies.keys()]).toEqual(["conv.weight", "bn.weight"]);
    file.set("bn.num_batches_tracked", [1]);
    expect(() => matchKeys(model, file, { ignore })).toThrow("1 misshapen: bn.num_batches_tracked (expected [], got [1])");
  });

  it("counts the differences and names a few of each kind", () => {
    const expected = new Map(Array.from({ length: 8 }, (_, i) => [`h.${i}.weight`, [2, 3]]));
    const found = new Map([["h.0.weight", [3, 2]], ["x", [1]], ["y", [1]]]);
    expect(() => matchKeys(expected, found, { file: "gpt2.safetensors" })).toThrow(
      new CheckpointError(
        "gpt2.safetensors: must hold the model's 8 keys and their shapes; got 3 keys, " +
          "7 missing: h.1.weight, h.2.weight, h.3.weight, h.4.weight, h.5.weight and 2 more; " +
          "2 unexpected: x, y; 1 misshapen: h.0.weight (expected [2,3], got [3,2])",
        "nothing was loaded; check that the file belongs to this model and this configuration",
      ),
    );
    expect(() => matchKeys(expected, new Map())).toThrow("8 missing");
  });
});

describe("checkpoint metadata", () => {
  const state = {
    system: "vit-gpt2",
    config: { width: 192, dropout: 0.1, ids: [1, 2], none: null },
    vocabulary: ["<pad>", 'a "word"', "größe"],
    preprocessing: { mean: [0.485, 0.456, 0.406] },
    fingerprint: "0123456789abcdef",
    trainer: { epoch: 3, step: 1200, best: 0.1 + 0.2, schedule: { name: "cosine" } },
    random: [new Generator(7, 1).state, { seed: 2 ** 32 - 1, stream: 0, counter: 2 ** 40 }],
  };
  const record = encodeMetadata(state);

  it("round trips through a file", async () => {
    await saveSafetensors(path, [["x", vector(1)]], record);
    const { metadata } = await loadSafetensors(path);
    expect(decodeMetadata(metadata, path)).toEqual({ format: "sightline-checkpoint", version: 2, ...state });
  });

  it("may leave out the trainer's part", () => {
    const { trainer: _trainer, random: _random, ...weights } = state;
    expect(decodeMetadata(encodeMetadata(weights), "file")).toEqual({ format: "sightline-checkpoint", version: 2, ...weights });
  });

  it("refuses to encode what JSON would change", () => {
    const encode = (change: object) => () => encodeMetadata({ ...state, ...change });
    expect(encode({ trainer: { epoch: 1, step: 1, best: [Infinity] } })).toThrow("trainer.best[0] must be plain JSON; got Infinity");
    expect(encode({ config: { a: { b: undefined } } })).toThrow("config.a.b must be plain JSON; got undefined");
    expect(encode({ vocabulary: new Map() })).toThrow("vocabulary must be plain JSON; got Map");
    expect(encode({ preprocessing: new Float32Array(2) })).toThrow("preprocessing must be plain JSON; got Float32Array");
    expect(encode({ trainer: { epoch: 0.5, step: 1 } })).toThrow("trainer must be an object with whole numbers epoch and step");
    expect(encode({ system: "" })).toThrow("system must be a name");
  });

  it.each<[what: string, change: Record<string, string | undefined>, message: string]>([
    ["a foreign file", { format: "pt" }, "this file is a safetensors file but not a sightline checkpoint; expected format \"sightline-checkpoint\" in its metadata, got \"pt\""],
    ["a file without metadata", { format: undefined }, "not a sightline checkpoint"],
    ["a newer file", { version: "3" }, "this checkpoint is of version 3; expected at most 2 (update sightline"],
    ["a version that is no number", { version: "one" }, 'version must be 2; got "one"'],
    ["no version", { version: undefined }, "version must be 2; got nothing"],
    ["no system", { system: undefined }, "must name its system; got none"],
    ["an older file", { version: "1" }, "this checkpoint is of version 1; expected 2"],
    ["no fingerprint", { fingerprint: undefined }, "must hold fingerprint in its metadata"],
    ["no config", { config: undefined }, "must hold config in its metadata"],
    ["a vocabulary that is not JSON", { vocabulary: "[" }, 'vocabulary must be JSON; got "["'],
    ["a trainer without a step", { trainer: '{"epoch":1}' }, 'whole numbers epoch and step; got {"epoch":1}'],
    ["generators without a counter", { random: '[{"seed":1,"stream":0}]' }, "random must be a list of whole numbers"],
  ])("refuses %s", (_what, change, message) => {
    const entries = Object.entries({ ...record, ...change }).filter((pair): pair is [string, string] => pair[1] !== undefined);
    const decode = (): unknown => decodeMetadata(Object.fromEntries(entries), "some.safetensors");
    expect(decode).toThrow(CheckpointError);
    expect(decode).toThrow(message);
    expect(decode).toThrow(/^some\.safetensors: [^\n]+ \([^\n]+\)$/);
  });
});
