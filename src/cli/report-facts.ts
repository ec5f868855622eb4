import type { MetricsHistory } from "../caption/run-log.ts";
import type { Recipe } from "../caption/recipe.ts";
import { SYSTEM, type ModelConfig } from "../caption/systems.ts";
import type { GPT2Config } from "../models/gpt2.ts";
import type { ResNetConfig } from "../models/resnet.ts";
import type { ViTConfig } from "../models/vit.ts";
import { counted, significant } from "../core/format.ts";
import type { ReportInput } from "./report.ts";
import type { ReportContents } from "./report-page.ts";

/** What made the model and the captions: the run, the adapter, the model and its recipe. */
export function factsOf({ device, captioner, timings, training }: Pick<ReportInput, "device" | "captioner" | "timings" | "training">, history: MetricsHistory | null): ReportContents["facts"]["lists"] {
  const { kind, description, vendor, architecture, reason } = device.adapter;
  const rates = (history?.steps ?? []).map(({ picturesPerSecond }) => picturesPerSecond).toSorted((a, b) => a - b);
  const { maxLength } = captioner.config;
  return [
    {
      heading: "Run",
      entries: [
        ...(rates.length === 0 ? [] : [["speed", `${significant(rates[Math.floor(rates.length / 2)])} pictures/s (median)`] as const]),
        ...timings,
      ],
    },
    {
      heading: "Adapter",
      entries: [["kind", kind], ["name", description], ["maker", [vendor, architecture].filter((text) => text !== "").join(" ") || "not given"], ["chosen because", reason], ["Node", process.version], ["platform", `${process.platform} ${process.arch}`]],
    },
    {
      heading: "Model",
      entries: [
        ...modelEntries(captioner.config.model),
        ["vocabulary", counted(captioner.codec.size, "entry", "entries")],
        ["longest caption", counted(maxLength - 1, "word")],
        ["picture size", `${captioner.preprocessing.size} × ${captioner.preprocessing.size}`],
      ],
    },
    ...(training === undefined ? [] : [{ heading: "Recipe", entries: recipeEntries(training.recipe) }]),
  ];
}

function recipeEntries({ recipe, size, seed, text, training, augment }: Recipe): (readonly [string, string])[] {
  const { epochs, batchSize, accumulate, learningRate, muonRate, muonFor, weightDecay, clipNorm, schedule, precision } = training;
  return [
    ["recipe", `${recipe}, ${size}`],
    ["epochs", String(epochs)],
    ["batch", accumulate === 1 ? String(batchSize) : `${batchSize}, in ${accumulate} parts`],
    ["optimiser", muonRate > 0 ? `Muon for ${muonFor}, AdamW for the rest` : "AdamW"],
    ["learning rate", `${learningRate}, ${schedule.kind}`],
    ...(muonRate > 0 ? [["learning rate of Muon", String(muonRate)] as const] : []),
    ["weight decay", String(weightDecay)],
    ["greatest gradient norm", clipNorm === null ? "none" : String(clipNorm)],
    ["precision", precision],
    ["pictures changed at random", augment === null ? "no" : "yes"],
    ["rarest word kept", `${text.minFrequency} ×`],
    ["seed", String(seed)],
  ];
}

/** What a model is made of, in the words of its papers. */
function modelEntries(model: ModelConfig): (readonly [string, string])[] {
  const resnet = ({ layers, width }: ResNetConfig): string => `ResNet ${layers.join("-")}, ${width} channels at first`;
  const vit = ({ dim, depth, patch }: ViTConfig): string => `ViT, ${depth} blocks of ${dim}, patches of ${patch} × ${patch}`;
  const gpt2 = ({ dim, layers }: GPT2Config): string => `GPT-2, ${layers} blocks of ${dim}`;
  const recurrent = ({ cell, hidden }: { readonly cell: string; readonly hidden: number }, attention: unknown): string => `${cell.toUpperCase()}, ${hidden} units${attention ? ", with attention over the regions" : ""}`;
  const about = SYSTEM[model.system].about;
  switch (model.system) {
    case "story":
      return [["system", about], ["encoder", resnet(model.encoder)], ["decoder", gpt2(model.gpt2)]];
    case "prefix":
      return [["system", about], ["encoder", vit(model.encoder)], ["tokens for the picture", String(model.tokens)], ["decoder", gpt2(model.gpt2)]];
    case "cross":
      return [["system", about], ["encoder", vit(model.encoder)], ["decoder", `${gpt2(model.decoder)}, each looking at ${model.looksAt === "each" ? "the encoder's block of its number" : "what the encoder puts out"}`]];
    case "storyteller":
      return [["system", about], ["encoder", model.backbone === null ? "features from outside" : resnet(model.backbone)], ["regions", `${model.grid} × ${model.grid}`], ["decoder", recurrent(model.decoder, model.attention)]];
    case "encdec":
      return [["system", about], ["encoder", resnet(model.encoder)], ["regions", `${model.grid ?? 1} × ${model.grid ?? 1}`], ["decoder", recurrent(model.decoder, model.attention)]];
    default:
      return model satisfies never;
  }
}
