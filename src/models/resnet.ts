import { ShapeError } from "../core/errors.ts";
import { showShape } from "../core/shape.ts";
import type { Tensor } from "../autograd/tensor.ts";
import { adaptiveAvgPool2d, maxPool2d, reshape } from "../autograd/ops/index.ts";
import { Conv2d, Linear, type Builder } from "../nn/layers.ts";
import { Module } from "../nn/module.ts";
import { BatchNorm2d } from "../nn/norm.ts";

/**
 * Residual networks for pictures, as in torchvision: the same fields, so its checkpoints load as they are.
 *
 * Source: He et al. 2015, "Deep residual learning for image recognition", arXiv:1512.03385; the stride sits on the
 * 3×3 convolution of a bottleneck (version 1.5).
 */
export interface ResNetConfig {
  readonly block: "basic" | "bottleneck";
  /** Blocks of each stage; 0 leaves a stage out. */
  readonly layers: readonly [number, number, number, number];
  /** Channels of the stem; each stage has twice as many as the one before. */
  readonly width: number;
  /** `imagenet`: 7×7 with stride 2, then max-pool 3×3 with stride 2. `small`: one 3×3 convolution with stride 1, for pictures of up to about 64 pixels; `small-stride2` halves them. */
  readonly stem: "imagenet" | "small" | "small-stride2";
  /** Outputs of the linear head; 0 for a network without one. */
  readonly classes: number;
  /** The head sees the last feature map averaged over grid × grid regions. Default 1, as published, which forgets where things are. */
  readonly grid?: number;
}

export const RESNET = {
  resnet18: { block: "basic", layers: [2, 2, 2, 2], width: 64, stem: "imagenet", classes: 1000 },
  resnet34: { block: "basic", layers: [3, 4, 6, 3], width: 64, stem: "imagenet", classes: 1000 },
  resnet50: { block: "bottleneck", layers: [3, 4, 6, 3], width: 64, stem: "imagenet", classes: 1000 },
  resnet101: { block: "bottleneck", layers: [3, 4, 23, 3], width: 64, stem: "imagenet", classes: 1000 },
  /** For CIFAR-10, as in the paper: three stages from 16 channels on. */
  cifarResnet20: { block: "basic", layers: [3, 3, 3, 0], width: 16, stem: "small", classes: 10 },
  cifarResnet56: { block: "basic", layers: [9, 9, 9, 0], width: 16, stem: "small", classes: 10 },
  /** ResNet-18 without the halving at the beginning, for pictures of about 32 pixels. */
  cifarResnet18: { block: "basic", layers: [2, 2, 2, 2], width: 64, stem: "small", classes: 10 },
} as const satisfies Record<string, ResNetConfig>;

const EXPANSION = { basic: 1, bottleneck: 4 } as const;

type Downsample = readonly [Conv2d, BatchNorm2d];

function makeDownsample(builder: Builder, inChannels: number, outChannels: number, stride: number): Downsample | null {
  if (stride === 1 && inChannels === outChannels) return null;
  return [new Conv2d(builder, inChannels, outChannels, 1, { stride, bias: false }), new BatchNorm2d(builder, outChannels)];
}

function shortcut(x: Tensor, downsample: Downsample | null): Tensor {
  return downsample === null ? x : downsample[1].forward(downsample[0].forward(x));
}

/** relu(x + bn(conv(relu(bn(conv x))))). x [N, C, H, W] → [N, channels, H/stride, W/stride]. */
export class BasicBlock extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Downsample | null;

  constructor(builder: Builder, inChannels: number, channels: number, stride: number) {
    super();
    this.conv1 = new Conv2d(builder, inChannels, channels, 3, { stride, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(builder, channels);
    this.conv2 = new Conv2d(builder, channels, channels, 3, { padding: 1, bias: false });
    this.bn2 = new BatchNorm2d(builder, channels);
    this.downsample = makeDownsample(builder, inChannels, channels, stride);
  }

  forward(x: Tensor): Tensor {
    const hidden = this.bn1.forward(this.conv1.forward(x), { activation: "relu" });
    return this.bn2.forward(this.conv2.forward(hidden), { activation: "relu", residual: shortcut(x, this.downsample) });
  }
}

/** 1×1 to fewer channels, 3×3, 1×1 to four times as many. x [N, C, H, W] → [N, 4·channels, H/stride, W/stride]. */
export class Bottleneck extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Downsample | null;

  constructor(builder: Builder, inChannels: number, channels: number, stride: number) {
    super();
    const outChannels = channels * EXPANSION.bottleneck;
    this.conv1 = new Conv2d(builder, inChannels, channels, 1, { bias: false });
    this.bn1 = new BatchNorm2d(builder, channels);
    this.conv2 = new Conv2d(builder, channels, channels, 3, { stride, padding: 1, bias: false });
    this.bn2 = new BatchNorm2d(builder, channels);
    this.conv3 = new Conv2d(builder, channels, outChannels, 1, { bias: false });
    this.bn3 = new BatchNorm2d(builder, outChannels);
    this.downsample = makeDownsample(builder, inChannels, outChannels, stride);
  }

  forward(x: Tensor): Tensor {
    const reduced = this.bn1.forward(this.conv1.forward(x), { activation: "relu" });
    const hidden = this.bn2.forward(this.conv2.forward(reduced), { activation: "relu" });
    return this.bn3.forward(this.conv3.forward(hidden), { activation: "relu", residual: shortcut(x, this.downsample) });
  }
}

type Block = BasicBlock | Bottleneck;

/** Every intermediate of a ResNet by its name. */
export interface ResNetFeatures {
  readonly stem: Tensor;
  readonly layer1: Tensor;
  readonly layer2: Tensor;
  readonly layer3: Tensor;
  readonly layer4: Tensor;
}

/** Pictures [N, 3, H, W] → logits [N, classes], or feature maps by {@link features}. */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: readonly Block[];
  readonly layer2: readonly Block[];
  readonly layer3: readonly Block[];
  readonly layer4: readonly Block[];
  readonly fc: Linear | null;
  /** Channels of the last feature map. */
  readonly channels: number;
  private readonly config: ResNetConfig;

  constructor(builder: Builder, config: ResNetConfig) {
    super();
    const { block, layers, width, stem, classes, grid = 1 } = config;
    const Block = block === "basic" ? BasicBlock : Bottleneck;
    let channels = width;
    const stage = (blocks: number, index: number): Block[] =>
      Array.from({ length: blocks }, (_, i) => {
        const planes = width * 2 ** index;
        const made = new Block(builder, channels, planes, i === 0 && index > 0 ? 2 : 1);
        channels = planes * EXPANSION[block];
        return made;
      });
    this.config = config;
    this.conv1 = stem === "imagenet"
      ? new Conv2d(builder, 3, width, 7, { stride: 2, padding: 3, bias: false })
      : new Conv2d(builder, 3, width, 3, { stride: stem === "small" ? 1 : 2, padding: 1, bias: false });
    this.bn1 = new BatchNorm2d(builder, width);
    this.layer1 = stage(layers[0], 0);
    this.layer2 = stage(layers[1], 1);
    this.layer3 = stage(layers[2], 2);
    this.layer4 = stage(layers[3], 3);
    this.channels = channels;
    this.fc = classes > 0 ? new Linear(builder, channels * grid ** 2, classes) : null;
  }

  /** All feature maps. x [N, 3, H, W] → layer4 [N, {@link channels}, H/32, W/32] for the `imagenet` stem. */
  features(x: Tensor): ResNetFeatures {
    const run = (blocks: readonly Block[], input: Tensor): Tensor => blocks.reduce((y, block) => block.forward(y), input);
    const normed = this.bn1.forward(this.conv1.forward(x), { activation: "relu" });
    const stem = this.config.stem === "imagenet" ? maxPool2d(normed, { kernel: 3, stride: 2, padding: 1 }) : normed;
    const layer1 = run(this.layer1, stem);
    const layer2 = run(this.layer2, layer1);
    const layer3 = run(this.layer3, layer2);
    return { stem, layer1, layer2, layer3, layer4: run(this.layer4, layer3) };
  }

  /** The last feature map averaged over a grid × grid of regions. x [N, 3, H, W] → [N, channels · grid²]. */
  pooled(x: Tensor, grid = this.config.grid ?? 1): Tensor {
    const { layer4 } = this.features(x);
    return reshape(adaptiveAvgPool2d(layer4, grid), [x.shape[0], this.channels * grid * grid]);
  }

  /** @throws ShapeError if the network has no head. */
  forward(x: Tensor): Tensor {
    if (this.fc === null) throw new ShapeError(`ResNet: this network has no head (classes: 0), so it gives no logits for ${showShape(x.shape)}`, "use features() or pooled()");
    return this.fc.forward(this.pooled(x));
  }
}
