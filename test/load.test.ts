import { describe, expect, test } from "vitest";
import { tensor } from "../src/autograd/tensor.ts";
import { assemble, loadInto } from "../src/checkpoint/load.ts";
import type { CheckpointReader } from "../src/checkpoint/reader.ts";
import type { TypedArray } from "../src/core/dtype.ts";
import type { HostTensor } from "../src/core/host-tensor.ts";
import { Generator } from "../src/core/rng.ts";
import { GPT2LMHeadModel } from "../src/models/gpt2.ts";
import { ResNet } from "../src/models/resnet.ts";
import { VisionTransformer } from "../src/models/vit.ts";
import { Embedding, Linear } from "../src/nn/layers.ts";
import { Module, uninitialised } from "../src/nn/module.ts";
import { BatchNorm1d } from "../src/nn/norm.ts";
import { useDevice } from "./device.ts";
import { memoryCheckpoint, randomTensor } from "./memory-checkpoint.ts";

const device = useDevice({ adapter: "software" });
const emulated = useDevice({ adapter: "software", limits: { emulateF16: true } });

const DIM = 6;
const builder = (): { device: ReturnType<typeof device>; generator: Generator } => ({ device: device(), generator: new Generator(0) });
const makeResNet = (classes = 3): ResNet => new ResNet(builder(), { block: "bottleneck", layers: [1, 1, 0, 0], width: 4, stem: "imagenet", classes });
const makeViT = (change: { norm?: boolean; pooler?: boolean; classes?: number } = {}): VisionTransformer =>
  new VisionTransformer(builder(), { image: 8, patch: 4, dim: DIM, depth: 2, heads: 2, mlp: 10, qkvBias: true, eps: 1e-6, pool: "cls", norm: true, pooler: false, classes: 0, ...change });
const makeGPT2 = (crossAttention: number | null = null): GPT2LMHeadModel =>
  new GPT2LMHeadModel(builder(), { vocabulary: 11, positions: 5, dim: DIM, layers: 2, heads: 2, mlp: 4 * DIM, eps: 1e-5, activation: "gelu_tanh", crossAttention });

type State = Map<string, HostTensor>;

/** Random values for a module: what a file holds before its names are those of another library. */
function randomState(module: Module): State {
  return new Map(module.namedTensors().map(([key, { shape }], i) => [key, randomTensor(shape, i)]));
}

/** Rows [begin, end) of a tensor. */
function rows({ dtype, shape, data }: HostTensor, begin: number, end: number): HostTensor {
  const width = data.length / shape[0];
  return { dtype, shape: [end - begin, ...shape.slice(1)], data: data.slice(begin * width, end * width) };
}

function transposed(stored: HostTensor): HostTensor {
  if (stored.shape.length < 2) return stored;
  const [height, width] = stored.shape;
  return { ...stored, shape: [width, height], data: Float32Array.from({ length: height * width }, (_, i) => stored.data[(i % height) * width + Math.floor(i / height)]) };
}

const renamed = (state: State, ...changes: readonly (readonly [RegExp, string])[]): State =>
  new Map([...state].map(([key, value]) => [changes.reduce((name, [pattern, replacement]) => name.replace(pattern, replacement), key), value]));

/** Cuts each tensor whose key ends in `joined` into equal parts under other names, along its first axis. */
const split = (state: State, joined: RegExp, names: readonly string[]): State =>
  new Map([...state].flatMap(([key, value]): [string, HostTensor][] => {
    const height = value.shape[0] / names.length;
    return joined.test(key) ? names.map((name, i) => [key.replace(joined, name), rows(value, i * height, (i + 1) * height)]) : [[key, value]];
  }));

const HF_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^cls_token$/, "embeddings.cls_token"],
  [/^pos_embed$/, "embeddings.position_embeddings"],
  [/^patch_embed\.proj/, "embeddings.patch_embeddings.projection"],
  [/norm1\./, "layernorm_before."],
  [/norm2\./, "layernorm_after."],
  [/^norm\./, "layernorm."],
  [/^head\./, "classifier."],
];

/** A ViT as transformers 4 names it. */
const asHfViT = (state: State): State =>
  renamed(split(state, /attn\.qkv/, ["attention.attention.query", "attention.attention.key", "attention.attention.value"]), ...HF_NAMES, [/^blocks\./, "encoder.layer."], [/attn\.proj/, "attention.output.dense"], [/mlp\.fc1/, "intermediate.dense"], [/mlp\.fc2/, "output.dense"]);

/** A ViT as transformers 5 names it. */
const asHfViT5 = (state: State): State =>
  renamed(split(state, /attn\.qkv/, ["attention.q_proj", "attention.k_proj", "attention.v_proj"]), ...HF_NAMES, [/^blocks\./, "layers."], [/attn\.proj/, "attention.o_proj"]);

/** GPT-2 whose layers all have weights [out, in], and cross-attention of q, k and v in parts. */
const asCross = (state: State): State =>
  renamed(split(new Map([...state].map(([key, value]) => [key, /\.(attn|crossattention|mlp)\./.test(key) ? transposed(value) : value])), /crossattention\.c_attn/, ["cross_attn.k", "cross_attn.v"]), [/crossattention\.q_attn/, "cross_attn.q"], [/crossattention/, "cross_attn"], [/ln_2/, "ln_3"], [/ln_cross_attn/, "ln_2"]);

const prefixed = (prefix: string, state: State): State => renamed(state, [/^/, prefix]);
const mask = randomTensor([1, 1, 5, 5], 99);

/** Equality that takes no second for a million elements. */
const sameBytes = (a: TypedArray, b: TypedArray): boolean => Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

async function expectState(module: Module, state: State): Promise<void> {
  expect(await module.stateDict()).toEqual(state);
}

describe("loadInto fills a model from published layouts", () => {
  test.each<[what: string, make: () => Module, asStored: (state: State) => State, ignored: number]>([
    ["torchvision", makeResNet, (state) => new Map([...state, ["bn1.num_batches_tracked", { dtype: "i32", shape: [], data: Int32Array.of(7) }]]), 1],
    ["the body of a detector", () => makeResNet(0), (state) => new Map([...prefixed("backbone.body.", state), ["rpn.head.conv.weight", mask]]), 1],
    ["a data-parallel wrapper", makeResNet, (state) => prefixed("module.", state), 0],
    ["a network whose head the model does not have", () => makeResNet(0), (state) => new Map([...state, ["fc.weight", randomTensor([9, 32], 1)], ["fc.bias", randomTensor([9], 2)]]), 2],
    ["timm", () => makeViT({ classes: 4 }), (state) => state, 0],
    ["Hugging Face ViT", () => makeViT({ pooler: true }), asHfViT, 0],
    ["Hugging Face ViT of transformers 5", () => makeViT(), asHfViT5, 0],
    ["a Hugging Face classifier", () => makeViT({ classes: 4 }), (state) => renamed(asHfViT(state), [/^(?!classifier)/, "vit."]), 0],
    ["GPT-2 with its head", () => makeGPT2(), (state) => new Map([...state, ["lm_head.weight", state.get("transformer.wte.weight")!]]), 1],
    ["GPT-2's body with masks", () => makeGPT2(), (state) => new Map([...renamed(state, [/^transformer\./, ""]), ["h.0.attn.bias", mask], ["h.1.attn.masked_bias", randomTensor([], 3)]]), 2],
    ["the decoder of a pair", () => makeGPT2(DIM), (state) => new Map([...prefixed("decoder.", state), ...prefixed("encoder.", asHfViT(randomState(makeViT())))]), 38],
    ["the encoder of a pair", () => makeViT(), (state) => new Map([...prefixed("encoder.", asHfViT5(state)), ...prefixed("decoder.", randomState(makeGPT2(DIM)))]), 44],
    ["GPT-2 with weights the other way round", () => makeGPT2(4), (state) => new Map([...asCross(state), ["transformer.h.1.attn.mask", mask], ["lm_head.weight", state.get("transformer.wte.weight")!]]), 2],
    ["a ViT that lies beside a GPT-2", () => makeViT({ norm: false }), (state) => new Map([...state, ...asCross(randomState(makeGPT2(4)))]), 48],
  ])("%s", async (_what, make, asStored, ignored) => {
    const module = uninitialised(make);
    const state = randomState(module);
    const report = await loadInto(module, await memoryCheckpoint(asStored(state)));
    await expectState(module, state);
    expect(report.tensors).toBe(state.size);
    expect(report.values).toBe([...state.values()].reduce((sum, { data }) => sum + data.length, 0));
    expect(report.ignored).toHaveLength(ignored);
  });

  test("says what it found", async () => {
    const state = randomState(makeResNet(0));
    const { layout, prefix, ignored } = await loadInto(makeResNet(0), await memoryCheckpoint([...prefixed("encoder.cnn.", state), ["mapper.weight", mask]]));
    expect({ layout, prefix, ignored }).toEqual({ layout: "torchvision ResNet", prefix: "encoder.cnn.", ignored: ["mapper.weight"] });
  });

  test("takes a layout and a prefix by name", async () => {
    const [first, second] = [randomState(makeViT()), randomTensor([3, 2], 1)];
    const file = await memoryCheckpoint([...prefixed("a.", first), ...prefixed("b.", first), ["c.weight", second], ["c.bias", randomTensor([3], 2)]]);
    expect((await loadInto(makeViT(), file, { prefix: "b." })).prefix).toBe("b.");
    await expect(loadInto(makeViT(), file)).rejects.toThrow('model.safetensors: must hold the model once; got it under "a.", "b." (nothing was loaded; choose one');
    const linear = new Linear(builder(), 2, 3);
    expect(await loadInto(linear, file, { prefix: "c.", layout: "the model's own names" })).toMatchObject({ tensors: 2, prefix: "c." });
    expect(await linear.weight.read()).toEqual(second.data);
    await expect(loadInto(makeViT(), file, { layout: "timm" })).rejects.toThrow(/model\.safetensors: layout must be one of [^;]*, timm ViT, [^;]*; got "timm"/);
    await expect(loadInto(makeViT(), file, { layout: "GPT-2" })).rejects.toThrow('model.safetensors: must hold the layout "GPT-2"; got timm ViT under "a.", timm ViT under "b."');
    await expect(loadInto(makeViT(), file, { layout: "timm ViT", prefix: "c." })).rejects.toThrow('must hold the layout "timm ViT" under "c."');
  });

  test("puts gradients together in the same way", async () => {
    const state = randomState(makeViT());
    const file = await memoryCheckpoint(prefixed("grad/", asHfViT5(state)));
    const { prefix } = await loadInto(makeViT(), file);
    expect(prefix).toBe("grad/");
    const pieces = ["q", "k", "v"].map((name) => `grad/layers.1.attention.${name}_proj.weight`);
    expect(await assemble({ pieces, transposed: false }, file)).toEqual(state.get("blocks.1.attn.qkv.weight"));
    expect(await assemble({ pieces, transposed: true }, file)).toEqual(transposed(state.get("blocks.1.attn.qkv.weight")!));
    await expect(assemble({ pieces: ["grad/no"], transposed: false }, file)).rejects.toThrow('must hold the tensor "grad/no"; got none');
    await expect(assemble({ pieces: [...pieces, "grad/layernorm.weight"], transposed: false }, file)).rejects.toThrow("must have shapes that can be joined; got [6,6], [6,6], [6,6], [6]");
  });
});

describe("loadInto refuses, and leaves the model as it was", () => {
  const changed = (state: State, change: Readonly<Record<string, HostTensor | null>>): State => {
    const next = new Map(state);
    for (const [key, value] of Object.entries(change)) {
      if (value === null) next.delete(key);
      else next.set(key, value);
    }
    return next;
  };
  const hub = (state: State): State => asHfViT(state);

  test.each<[what: string, make: () => Module, asStored: (state: State) => State, message: string]>([
    ["a missing tensor", makeResNet, (state) => changed(state, { "fc.bias": null }), "model.safetensors: must hold the model's 47 keys and their shapes; got 46 keys read as torchvision ResNet, 1 missing: fc.bias (nothing was loaded; "],
    ["a missing piece", () => makeViT(), (state) => changed(hub(state), { "encoder.layer.1.attention.attention.key.bias": null }), "1 missing: blocks.1.attn.qkv.bias (stored as encoder.layer.1.attention.attention.key.bias)"],
    ["a layer too many", () => makeGPT2(), (state) => changed(state, { "transformer.h.2.ln_1.bias": mask }), "1 unexpected: transformer.h.2.ln_1.bias"],
    ["a token that the model does not know", () => makeViT(), (state) => changed(state, { dist_token: mask }), "1 unexpected: dist_token"],
    ["another width", () => makeViT(), (state) => changed(state, { "norm.bias": randomTensor([7], 1) }), "1 misshapen: norm.bias (expected [6], got [7])"],
    ["pieces that don't fit together", () => makeViT(), (state) => changed(hub(state), { "encoder.layer.0.attention.attention.value.weight": randomTensor([6, 5], 1) }), "1 misshapen: blocks.0.attn.qkv.weight (expected [18,6], got [6,6] and [6,6] and [6,5])"],
    ["another head", makeResNet, (state) => changed(state, { "fc.weight": randomTensor([1000, 32], 1), "fc.bias": randomTensor([1000], 1) }), "2 misshapen: fc.weight (expected [3,32], got [1000,32]), fc.bias (expected [3], got [1000])"],
    ["integers for weights", makeResNet, (state) => changed(state, { "fc.bias": { dtype: "i32", shape: [3], data: Int32Array.of(1, 2, 3) } }), "fc.bias must be stored as floats for fc.bias; got I32 (nothing was loaded"],
    ["a head of its own", () => makeGPT2(), (state) => changed(state, { "lm_head.weight": randomTensor([11, DIM], 77) }), "model.safetensors: lm_head.weight must equal transformer.wte.weight, because the model has one tensor for both; got "],
    ["a head of another size", () => makeGPT2(), (state) => changed(state, { "lm_head.weight": randomTensor([12, DIM], 77) }), "got shapes [12,6] and [11,6]"],
    ["another model", makeResNet, () => randomState(makeGPT2()), "28 unexpected: "],
    ["an empty file", makeResNet, () => new Map(), "got 0 keys, 47 missing: "],
  ])("%s", async (_what, make, asStored, message) => {
    const module = make();
    const before = await module.stateDict();
    await expect(loadInto(module, await memoryCheckpoint(asStored(randomState(module))))).rejects.toThrow(message);
    await expectState(module, before);
  });

  test("an encoder and a decoder of different widths, with the reason", async () => {
    class Captioner extends Module {
      readonly encoder = makeViT();
      readonly decoder = makeGPT2(4);
    }
    const module = new Captioner();
    const file = [...prefixed("encoder.", asHfViT(randomState(module.encoder))), ...prefixed("decoder.", randomState(module.decoder)), ["enc_to_dec_proj.weight", mask]] as const;
    await expect(loadInto(module, await memoryCheckpoint(file))).rejects.toThrow(/1 unexpected: enc_to_dec_proj.weight \(nothing was loaded; its encoder and decoder differ in width/);
    const whole = await loadInto(module, await memoryCheckpoint(file.slice(0, -1)));
    expect(whole).toMatchObject({ layout: "Hugging Face VisionEncoderDecoder", tensors: module.namedTensors().length, ignored: [] });
  });

  test("unless the difference is to be ignored", async () => {
    const module = makeGPT2(4);
    const state = randomState(makeGPT2());
    const before = await module.stateDict();
    const { tensors } = await loadInto(module, await memoryCheckpoint(changed(state, { extra: mask })), { ignore: [/crossattention|ln_cross_attn/, /^extra$/] });
    expect(tensors).toBe(state.size);
    await expectState(module, new Map([...before].map(([key, value]) => [key, state.get(key) ?? value])));
  });
});

describe("streaming", () => {
  test("reads a large tensor in parts, one at a time", async () => {
    const [count, dimension] = [1100, 1000]; // more than a part, and no multiple of it
    const weight: HostTensor = { dtype: "f32", shape: [count, dimension], data: Float32Array.from({ length: count * dimension }, (_, i) => i % 9973) };
    const file = await memoryCheckpoint([["weight", weight]]);
    const parts: number[] = [];
    let open = 0;
    const watched: CheckpointReader = {
      ...file,
      read: () => Promise.reject(new Error("a whole tensor was read")),
      readPart: async (name, begin, end) => {
        expect(++open).toBe(1);
        parts.push(end - begin);
        const part = await file.readPart(name, begin, end);
        open--;
        return part;
      },
    };
    const embedding = uninitialised(() => new Embedding(builder(), count, dimension));
    await loadInto(embedding, watched);
    expect(sameBytes(await embedding.weight.read(), weight.data)).toBe(true);
    expect(parts.reduce((sum, part) => sum + part)).toBe(count * dimension);
    expect(Math.max(...parts) * 4).toBeLessThanOrEqual(16 * 2 ** 20);
    expect(parts.length).toBeGreaterThan(1);
    const whole = await assemble({ pieces: ["weight"], transposed: true }, watched);
    expect(whole.shape).toEqual([dimension, count]);
    expect(sameBytes(whole.data, transposed(weight).data)).toBe(true);
  });

  test("stores what it reads as the model does", async () => {
    const linear = new Linear({ device: emulated(), generator: new Generator(0) }, 2, 1).to("f16");
    await loadInto(linear, await memoryCheckpoint([["weight", { dtype: "f32", shape: [1, 2], data: Float32Array.of(2049, 0.5) }], ["bias", { dtype: "f32", shape: [1], data: Float32Array.of(3) }]]));
    expect([...(await linear.weight.read()), ...(await linear.bias!.read())]).toEqual([2048, 0.5, 3]); // 2049 has no f16
  });
});

describe("uninitialised", () => {
  test("makes zeros, draws nothing, and ends with its function", async () => {
    const generator = new Generator(3);
    const before = generator.state;
    const [linear, norm] = uninitialised(() => [new Linear({ device: device(), generator }, 3, 2), new BatchNorm1d(builder(), 2)] as const);
    expect(generator.state).toEqual(before);
    for (const module of [linear, norm]) for (const { data } of (await module.stateDict()).values()) expect(data.every((value) => value === 0)).toBe(true);
    expect(() => uninitialised(() => { throw new Error("no"); })).toThrow("no");
    const drawn = new Linear({ device: device(), generator }, 3, 2);
    expect((await drawn.weight.read()).every((value) => value === 0)).toBe(false);
  });
});

describe("Tensor.writePart", () => {
  test("replaces a part", async () => {
    const x = tensor(device(), Float32Array.of(1, 2, 3, 4, 5), [5]);
    x.writePart(Float32Array.of(7, 8), 1);
    x.writePart(Float32Array.of(9), 4);
    expect([...(await x.read())]).toEqual([1, 7, 8, 4, 9]);
  });

  test("of f16 in whole words", async () => {
    const x = tensor(emulated(), Float32Array.of(1, 2, 3, 4, 5), [5], "f16");
    x.writePart(Float32Array.of(7, 8), 2);
    x.writePart(Float32Array.of(9), 4);
    expect([...(await x.read())]).toEqual([1, 2, 7, 8, 9]);
    expect(() => x.writePart(Float32Array.of(7, 8), 1)).toThrow("write: a part of an f16 tensor must begin and end at even elements, as two share a word; got 1..3 of 5");
    expect(() => x.writePart(Float32Array.of(7), 2)).toThrow("got 2..3 of 5");
  });

  test.each<[Float32Array | Int32Array, number, string]>([
    [Float32Array.of(1, 2), 4, "write: needs f32 values for elements 0..5 of shape [5]; got f32 for 4..6"],
    [Float32Array.of(1), -1, "got f32 for -1..0"],
    [Float32Array.of(1), 0.5, "got f32 for 0.5..1.5"],
    [Int32Array.of(1), 0, "got i32 for 0..1"],
  ])("refuses %s at %d", async (data, begin, message) => {
    const x = tensor(device(), Float32Array.of(1, 2, 3, 4, 5), [5]);
    expect(() => x.writePart(data, begin)).toThrow(message);
    expect(() => x.write(Float32Array.of(1))).toThrow("write: needs 5 f32 values for shape [5]; got 1 of f32");
    expect([...(await x.read())]).toEqual([1, 2, 3, 4, 5]);
  });
});
