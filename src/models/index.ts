/** Model definitions: ResNet, ViT, GPT-2 and recurrent decoders, with the names of published checkpoints. */
export { GPT2, GPT2LMHeadModel, GPT2Model, IGNORED, type GPT2Cache, type GPT2Config, type GPT2Context } from "./gpt2.ts";
export { RecurrentDecoder, type DecoderOutputs, type DecoderState, type RecurrentDecoderConfig } from "./lstm.ts";
export type { AttentionChoice, AttentionKind, AttentionOptions, RegionAttentionConfig } from "./region-attention.ts";
export { RESNET, ResNet, type ResNetConfig, type ResNetFeatures } from "./resnet.ts";
export { VisionTransformer, VIT, type ViTConfig, type ViTFeatures } from "./vit.ts";
