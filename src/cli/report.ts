import { encode } from "jpeg-js";
import script from "page-asset:./report-client.ts";
import style from "page-asset:./report.css";
import type { Captioner } from "../caption/captioner.ts";
import type { EvaluatedPicture } from "../caption/evaluate.ts";
import type { Recipe } from "../caption/recipe.ts";
import { SYSTEM, type ModelConfig } from "../caption/systems.ts";
import type { Scores, Share } from "../caption/scoring.ts";
import { writeFileAtomically } from "../checkpoint/files.ts";
import type { Image } from "../data/image.ts";
import type { PictureSet } from "../data/pictures.ts";
import { wordsOf } from "../data/vocabulary.ts";
import type { Device } from "../device/device.ts";
import type { GPT2Config } from "../models/gpt2.ts";
import type { ResNetConfig } from "../models/resnet.ts";
import type { ViTConfig } from "../models/vit.ts";
import { tokenOverlap } from "../metrics/token-overlap.ts";
import { counted, duration, percent, significant, thousands } from "./format.ts";
import { readMetrics, type MetricsHistory } from "./metrics-log.ts";
import { renderReport, type ReportContents, type ReportCurves, type ReportPicture, type ReportTile } from "./report-page.ts";
import { scoreRows } from "./scores.ts";
import { VERSION } from "./version.ts";

/** Longer side of the pictures in the report, pixels; shown at about this size, also on dense screens. */
const PICTURE_SIZE = 192;

/** The report keeps this many pictures at most, evenly spread over the set: about 2 MB. */
const MAX_PICTURES = 300;

const JPEG_QUALITY = 88;

/** Points of the loss curve: more than a screen has columns helps nobody. */
const MAX_POINTS = 1200;

/** The smoothed training loss is the mean over this many steps before and after. */
const SMOOTHING = 8;

export interface ReportInput {
  readonly device: Device;
  readonly captioner: Captioner;
  /** What the pictures are, in a few words and in a line. */
  readonly data: { readonly name: string; readonly summary: string; readonly set: PictureSet };
  readonly pictures: readonly EvaluatedPicture[];
  readonly scores: Scores;
  /** How the scores were made, see `scoringTerms`. */
  readonly terms: string;
  readonly notices: readonly string[];
  readonly timings: readonly (readonly [string, string])[];
  readonly command: string;
  /** Absent where a model was scored and not trained. */
  readonly training?: { readonly metrics: string; readonly recipe: Recipe };
}

/** Writes `report.html`. @throws InputError if it cannot be written. */
export async function writeReport(path: string, input: ReportInput): Promise<void> {
  const page = renderReport(await contentsOf(input), { style, script });
  await writeFileAtomically(path, [Buffer.from(page)]);
}

async function contentsOf(input: ReportInput): Promise<ReportContents> {
  const { device, captioner, data, pictures, scores, terms, notices, command, training } = input;
  const history = training === undefined ? null : readMetrics(training.metrics);
  const scenes = scores.factsRight !== undefined;
  const shown = await Promise.all(spread(pictures, MAX_PICTURES).map((picture) => showPicture(data.set, picture)));
  const left = pictures.length - shown.length;
  const trained = history === null ? "" : `, trained for ${duration(history.steps.at(-1)?.seconds ?? 0)} on a ${device.adapter.kind === "software" ? "software" : "hardware"} adapter,`;
  return {
    title: `Captions for ${data.name}`,
    summary: `A model of ${thousands(captioner.model.parameterCount())} weights${trained} gets ${showRight(scores)}.`,
    notices,
    tiles: tilesOf(scores, captioner, history),
    curves: history === null || history.steps.length < 2 ? null : curvesOf(history, training?.recipe.text.firstCaption ?? 0),
    pictures: {
      heading: "Pictures and captions",
      about: `${counted(shown.length, "picture")}${left > 0 ? ` of ${thousands(pictures.length)}, evenly chosen` : ""}, each with the model's caption and the reference nearest to it. Words that this reference lacks are underlined where a caption ${scenes ? "is wrong" : "is not one of the references"}.`,
      rightMeans: scenes ? "right" : "word for word",
      wrongMeans: scenes ? "wrong" : "in other words",
      shown,
    },
    scores: { terms, rows: scoreRows(scores) },
    facts: { about: data.summary, lists: factsOf(input, history) },
    command,
    version: VERSION,
    created: new Date().toISOString().slice(0, 16).replace("T", " ") + " UTC",
  };
}

function showRight({ factsRight, factsRightHeldOut, exact }: Scores): string {
  if (factsRight === undefined) return `${exact.count} of ${thousands(exact.of)} captions word for word as one of the references`;
  const unseen = factsRightHeldOut === undefined || factsRightHeldOut.of === 0 ? "" : `, and ${factsRightHeldOut.count} of ${factsRightHeldOut.of} with colours on shapes that it never saw together`;
  return `every fact right in ${factsRight.count} of ${thousands(factsRight.of)} pictures${unseen}`;
}

function tilesOf(scores: Scores, captioner: Captioner, history: MetricsHistory | null): ReportTile[] {
  const { factsRight, factsRightHeldOut, exact } = scores;
  const share = (label: string, { count, of }: Share): ReportTile[] => (of === 0 ? [] : [{ label, value: percent(count / of), detail: `${thousands(count)} of ${thousands(of)} pictures` }]);
  const right = factsRight === undefined ? share("Word for word", exact) : [...share("Every fact right", factsRight), ...share("Unseen pairs right", factsRightHeldOut ?? { count: 0, of: 0 })];
  const last = history?.steps.at(-1);
  return [
    ...right,
    { label: "CIDEr-D", value: scores.cider.toFixed(2), detail: "of at most 10" },
    { label: "BLEU-4", value: percent(scores.bleu[3]), detail: "up to 4 words" },
    { label: "Model", value: compact(captioner.model.parameterCount()), detail: `weights, ${thousands(captioner.codec.size)} words` },
    ...(last === undefined ? [] : [{ label: "Training", value: duration(last.seconds), detail: `${counted(last.step, "step")}` }]),
  ];
}

function compact(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 1e3 ? `${Math.round(value / 1e3)} k` : String(value);
}

/** The first caption alone at first: the loss jumps where the other wordings come in. */
function wordingRemark(firstCaption: number): string {
  return firstCaption > 0 && firstCaption < 1 ? `The first ${percent(firstCaption)} of the steps hear one wording a picture, the rest hear all of them, as validation always does.` : "";
}

function curvesOf({ steps, validations }: MetricsHistory, firstCaption: number): ReportCurves {
  const validationAt = new Map(validations.map(({ step, validationLoss }) => [step, validationLoss]));
  const points = steps.map(({ step, loss }, i) => {
    const reach = Math.min(SMOOTHING, i, steps.length - 1 - i);
    const near = steps.slice(i - reach, i + reach + 1);
    const smoothed = near.reduce((sum, other) => sum + other.loss, 0) / near.length;
    return { step, loss, smoothed, validation: validationAt.get(step) ?? null };
  });
  const every = Math.ceil(points.length / MAX_POINTS);
  const kept = points.filter(({ validation }, i) => i % every === 0 || i === points.length - 1 || validation !== null);
  const round = (value: number): number => Number(value.toPrecision(5));
  return {
    steps: kept.map(({ step }) => step),
    loss: kept.map(({ loss }) => round(loss)),
    smoothed: kept.map(({ smoothed }) => round(smoothed)),
    validation: kept.map(({ validation }) => (validation === null ? null : round(validation))),
    remark: wordingRemark(firstCaption),
  };
}

function factsOf({ device, captioner, timings, training }: ReportInput, history: MetricsHistory | null): ReportContents["facts"]["lists"] {
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

async function showPicture(set: PictureSet, picture: EvaluatedPicture): Promise<ReportPicture> {
  const { index, name, caption, exact, right, heldOut } = picture;
  const source = dataUri(await set.shown(index, PICTURE_SIZE));
  return { name, source, caption, reference: nearest(picture), right: right ?? exact, heldOut: heldOut ?? false };
}

/** The reference that shares most words with the caption. */
function nearest({ caption, references }: EvaluatedPicture): string {
  const said = wordsOf(caption);
  const likeness = references.map((reference) => tokenOverlap([said], [[wordsOf(reference)]]).f1);
  return references[likeness.indexOf(Math.max(...likeness))];
}

/** JPEG: textures would cost ten times as much as PNG. */
function dataUri({ width, height, data }: Image): string {
  const rgba = new Uint8Array(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return `data:image/jpeg;base64,${encode({ width, height, data: rgba }, JPEG_QUALITY).data.toString("base64")}`;
}

/** At most `count` of the items, evenly spread and in order. */
function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items;
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]);
}
