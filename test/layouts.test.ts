import { describe, expect, test } from "vitest";
import { assemblyOf, roleOf, type FoundLayout } from "../src/checkpoint/layout.ts";
import { LAYOUTS, recogniseLayouts } from "../src/checkpoint/layouts.ts";

/** Some keys of published files, as many as tell them apart. */
const FILES = {
  resnet50: ["conv1.weight", "bn1.weight", "bn1.num_batches_tracked", "layer1.0.conv1.weight", "layer1.0.downsample.1.running_var", "fc.weight", "fc.bias"],
  vitTimm: ["cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.bias", "norm.weight", "head.bias"],
  vitHf: ["embeddings.cls_token", "embeddings.position_embeddings", "encoder.layer.0.attention.attention.query.weight", "layernorm.weight", "pooler.dense.bias"],
  vitHf5: ["embeddings.cls_token", "embeddings.position_embeddings", "layers.0.attention.q_proj.weight", "layers.0.mlp.fc1.weight", "layernorm.weight"],
  gpt2: ["transformer.wte.weight", "transformer.wpe.weight", "transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.bias", "transformer.ln_f.bias", "lm_head.weight"],
  gpt2Hub: ["wte.weight", "wpe.weight", "h.0.attn.c_attn.weight", "h.0.attn.bias", "h.0.attn.masked_bias", "ln_f.bias"],
  cross: ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "transformer.wte.weight", "transformer.h.0.attn.c_attn.weight", "transformer.h.0.attn.mask", "transformer.h.0.cross_attn.q.weight", "lm_head.weight"],
  storyteller: ["encoder.fc.weight", "decoder.embedding.weight", "decoder.lstm.weight_ih_l0", "decoder.fc.weight"],
  encdec: ["bn.weight", "linear.weight", "embed.weight", "rnn.weight_ih_l0", "out.weight"],
} satisfies Record<string, readonly string[]>;

const under = (prefix: string, keys: readonly string[]): string[] => keys.map((key) => prefix + key);
const found = (keys: readonly string[]): string[] => recogniseLayouts(keys).map(({ layout, prefix }) => `${layout.name} @ ${prefix}`);
const layoutOf = (keys: readonly string[], name?: string): FoundLayout => recogniseLayouts(keys).find(({ layout }) => name === undefined || layout.name === name)!;

describe("recogniseLayouts", () => {
  test.each<[string, readonly string[], readonly string[]]>([
    ["torchvision", FILES.resnet50, ["torchvision ResNet @ "]],
    ["torchvision under the names of fasterrcnn", [...under("backbone.body.", FILES.resnet50), "backbone.fpn.inner_blocks.0.0.weight", "rpn.head.conv.weight"], ["torchvision ResNet @ backbone.body."]],
    ["a data-parallel wrapper", under("module.", FILES.resnet50), ["torchvision ResNet @ module."]],
    ["timm", FILES.vitTimm, ["timm ViT @ "]],
    ["Hugging Face ViT", FILES.vitHf, ["Hugging Face ViT @ "]],
    ["Hugging Face ViT of transformers 5", FILES.vitHf5, ["Hugging Face ViT @ "]],
    ["a classifier", [...under("vit.", FILES.vitHf), "classifier.weight"], ["Hugging Face ViT @ "]],
    ["GPT-2 with a head", FILES.gpt2, ["GPT-2 @ "]],
    ["GPT-2's body", FILES.gpt2Hub, ["GPT-2 @ "]],
    ["an encoder and a decoder", [...under("encoder.", FILES.vitHf), ...under("decoder.", FILES.gpt2), "decoder.transformer.h.0.crossattention.c_attn.weight"], ["Hugging Face VisionEncoderDecoder @ ", "Hugging Face ViT @ encoder.", "GPT-2 @ decoder."]],
    ["gradients", under("grad/", [...under("encoder.", FILES.vitHf5), ...under("decoder.", FILES.gpt2)]), ["Hugging Face VisionEncoderDecoder @ grad/", "Hugging Face ViT @ grad/encoder.", "GPT-2 @ grad/decoder."]],
    ["a ViT and GPT-2 side by side", FILES.cross, ["ViT and GPT-2 with cross_attn @ ", "timm ViT @ ", "GPT-2 with cross_attn @ "]],
    ["a ResNet and GPT-2 under names of their own", [...under("encoder.cnn.", FILES.resnet50), "mapper.weight", ...under("gpt2.", FILES.gpt2)], ["story @ ", "torchvision ResNet @ encoder.cnn.", "GPT-2 @ gpt2."]],
    ["a storyteller", FILES.storyteller, ["storyteller @ ", "recurrent decoder @ decoder."]],
    ["an encoder-decoder", [...under("body.", FILES.resnet50), ...FILES.encdec], ["encdec @ ", "torchvision ResNet @ body.", "recurrent decoder @ "]],
    ["a prefix captioner", [...under("visual_encoder.", FILES.vitTimm), "vision_proj.weight", ...under("text_decoder.", FILES.gpt2)], ["prefix @ ", "timm ViT @ visual_encoder.", "GPT-2 @ text_decoder."]],
    ["nothing that is known", ["a.weight", "b.weight", "myconv1.weight"], []],
    ["no keys", [], []],
  ])("%s", (_what, keys, expected) => {
    expect(found(keys)).toEqual(expected);
    expect(found([...keys].reverse())).toEqual(expected);
  });
});

test("a file that claims to hold thousands of models costs no time", () => {
  const keys = Array.from({ length: 20_000 }, (_, i) => under(`m${i}.`, ["patch_embed.proj.weight", "blocks.0.attn.qkv.weight"])).flat();
  expect(recogniseLayouts(keys)).toHaveLength(100);
});

describe("assemblyOf", () => {
  test.each<[layout: FoundLayout, key: string, pieces: readonly string[] | undefined, transposed?: boolean]>([
    [layoutOf(under("backbone.body.", FILES.resnet50)), "layer3.11.downsample.1.running_mean", ["backbone.body.layer3.11.downsample.1.running_mean"]],
    [layoutOf(FILES.vitTimm), "blocks.11.mlp.fc2.weight", ["blocks.11.mlp.fc2.weight"]],
    [layoutOf(FILES.vitHf), "pos_embed", ["embeddings.position_embeddings"]],
    [layoutOf(FILES.vitHf), "blocks.10.attn.qkv.bias", ["query", "key", "value"].map((name) => `encoder.layer.10.attention.attention.${name}.bias`)],
    [layoutOf(FILES.vitHf), "blocks.3.mlp.fc1.weight", ["encoder.layer.3.intermediate.dense.weight"]],
    [layoutOf(FILES.vitHf), "blocks.3.norm2.weight", ["encoder.layer.3.layernorm_after.weight"]],
    [layoutOf(under("vit.", FILES.vitHf)), "head.weight", ["classifier.weight"]],
    [layoutOf(under("vit.", FILES.vitHf)), "norm.bias", ["vit.layernorm.bias"]],
    [layoutOf(FILES.vitHf5), "blocks.2.attn.qkv.weight", ["q_proj", "k_proj", "v_proj"].map((name) => `layers.2.attention.${name}.weight`)],
    [layoutOf(FILES.vitHf5), "blocks.2.attn.proj.weight", ["layers.2.attention.o_proj.weight"]],
    [layoutOf(FILES.gpt2), "transformer.h.4.mlp.c_proj.weight", ["transformer.h.4.mlp.c_proj.weight"]],
    [layoutOf(FILES.gpt2Hub), "transformer.h.4.mlp.c_proj.weight", ["h.4.mlp.c_proj.weight"]],
    [layoutOf(FILES.gpt2Hub), "transformer.wte.weight", ["wte.weight"]],
    [layoutOf([...under("encoder.", FILES.vitHf), ...under("decoder.", FILES.gpt2)]), "encoder.blocks.0.norm1.weight", ["encoder.encoder.layer.0.layernorm_before.weight"]],
    [layoutOf([...under("encoder.", FILES.vitHf), ...under("decoder.", FILES.gpt2)]), "decoder.transformer.h.0.crossattention.q_attn.bias", ["decoder.transformer.h.0.crossattention.q_attn.bias"]],
    [layoutOf(FILES.cross), "encoder.blocks.0.attn.proj.bias", ["blocks.0.attn.proj.bias"]],
    [layoutOf(FILES.cross), "decoder.transformer.h.1.ln_cross_attn.weight", ["transformer.h.1.ln_2.weight"]],
    [layoutOf(FILES.cross), "decoder.transformer.h.1.ln_2.weight", ["transformer.h.1.ln_3.weight"]],
    [layoutOf(FILES.cross), "decoder.transformer.h.1.crossattention.c_attn.weight", ["transformer.h.1.cross_attn.k.weight", "transformer.h.1.cross_attn.v.weight"], true],
    [layoutOf(FILES.cross), "decoder.transformer.h.1.mlp.c_fc.weight", ["transformer.h.1.mlp.c_fc.weight"], true],
    [layoutOf(FILES.cross, "GPT-2 with cross_attn"), "transformer.wte.weight", ["transformer.wte.weight"]],
    [layoutOf(FILES.storyteller, "recurrent decoder"), "lstm.bias_hh_l0", ["decoder.lstm.bias_hh_l0"]],
    [layoutOf(FILES.storyteller, "storyteller"), "decoder.lstm.bias_hh_l0", ["decoder.lstm.bias_hh_l0"]],
    [layoutOf([...under("body.", FILES.resnet50), ...FILES.encdec], "encdec"), "decoder.gru.bias_hh_l0", ["rnn.bias_hh_l0"]],
    [layoutOf([...under("body.", FILES.resnet50), ...FILES.encdec], "encdec"), "body.layer1.0.bn1.weight", ["body.layer1.0.bn1.weight"]],
    [layoutOf(FILES.encdec), "gru.weight_hh_l0", ["rnn.weight_hh_l0"]],
    [layoutOf(FILES.encdec), "fc.weight", ["out.weight"]],
    [layoutOf(FILES.resnet50), "layer5.0.conv1.bias.x", ["layer5.0.conv1.bias.x"]],
    [layoutOf(FILES.resnet50), "classifier.weight", undefined],
  ])("%#: of %j, %s", (layout, key, pieces, transposed = false) => {
    expect(assemblyOf(key, layout)).toEqual(pieces && { pieces, transposed });
  });
});

describe("roleOf", () => {
  test.each<[FoundLayout, string, unknown]>([
    [layoutOf(FILES.gpt2), "transformer.h.3.attn.bias", "unused"],
    [layoutOf(FILES.gpt2Hub), "h.3.attn.masked_bias", "unused"],
    [layoutOf(FILES.cross), "transformer.h.11.attn.mask", "unused"],
    [layoutOf(FILES.cross), "lm_head.weight", "tied"],
    [layoutOf(FILES.gpt2), "lm_head.weight", "tied"],
    [layoutOf(under("module.", FILES.resnet50)), "module.layer1.0.bn1.num_batches_tracked", "unused"],
    [layoutOf(under("module.", FILES.resnet50)), "module.fc.bias", { optional: "fc.*" }],
    [layoutOf(under("module.", FILES.resnet50)), "fc.bias", "unknown"],
    [layoutOf(FILES.vitTimm), "blocks.12.norm1.weight", "part"],
    [layoutOf(FILES.vitTimm), "dist_token", "unknown"],
  ])("%#: of %s", (layout, key, role) => {
    expect(roleOf(key, layout)).toEqual(role);
  });

  test("says why an encoder and a decoder of different widths are not supported", () => {
    const layout = layoutOf([...under("encoder.", FILES.vitHf), ...under("decoder.", FILES.gpt2)]);
    expect(roleOf("enc_to_dec_proj.weight", layout)).toEqual({ refused: expect.stringContaining("differ in width") });
  });
});

test("patterns have as many places on both sides, so that every rule can be read either way", () => {
  const places = (pattern: string): string => pattern.replace(/[^N*]/g, "");
  for (const { name, rules } of LAYOUTS) {
    for (const { model, stored } of rules) for (const pattern of stored) expect(places(pattern), `${name}: ${model}`).toBe(places(model));
  }
});
