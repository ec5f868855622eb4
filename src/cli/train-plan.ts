import type { CheckpointReader } from "../checkpoint/reader.ts";
import { atSize } from "../caption/initial-weights.ts";
import { openPictures, openScenes, scenesChoice, type DataChoice, type FolderData, type HoldOut, type OpenedData } from "../caption/data-choice.ts";
import { adaptRecipe, ratesAt, trainingEncoder, trainingFromScratch, type TrainedEncoder } from "../caption/adapt-recipe.ts";
import { FLAVOURS, SIZES, type Flavour, type Recipe, type RewardRecipe, type Size } from "../caption/recipe.ts";
import { recipeFor, SCENE_COUNTS } from "../caption/recipes.ts";
import { resumableRun, type ResumableRun } from "../caption/resume.ts";
import { SYSTEMS, type SystemName } from "../caption/systems.ts";
import { loadSafetensors, openCheckpoint } from "../checkpoint/files.ts";
import { resolveModel } from "../checkpoint/hub/files.ts";
import { InputError } from "../core/errors.ts";
import { oneOf } from "../core/schema.ts";
import { NO_AUGMENTATION, type Augmentation } from "../data/augmentation.ts";
import type { Language, SceneText } from "../data/scene-grammar.ts";
import type { AdapterPreference } from "../device/adapter.ts";
import { checkConfig, dataRequest, located, NO_CONFIG, overlay, readConfigFile, type ConfigFile, type DataRequest, type RunConfig } from "./config-file.ts";
import { findFolder, reopen } from "./data-choice.ts";
import { dateStamp } from "../core/format.ts";
import { createRunFolder, findRun, newRunName, type RunFolder } from "./run-folder.ts";

/** Flags that decide what is trained: a resumed run keeps those of its checkpoint. */
export interface TrainingFlags {
  readonly config?: string;
  readonly system?: SystemName;
  readonly recipe?: Flavour;
  readonly size?: Size;
  readonly encoder?: string;
  readonly decoder?: string;
  readonly trainEncoder?: TrainedEncoder;
  readonly epochs?: number;
  readonly rewardEpochs?: number;
  readonly batch?: number;
  readonly accumulate?: number;
  readonly lr?: number;
  readonly seed?: number;
  readonly pictureSize?: number;
  readonly precision?: "f32" | "f16";
  readonly checkpointing?: boolean;
  readonly augment?: boolean;
  readonly patience?: number;
  readonly vocabulary?: "words" | "byte-pairs" | "gpt2";
  readonly scenes?: number;
  readonly languages?: readonly Language[];
  readonly text?: SceneText;
  readonly holdOut?: HoldOut;
}

export interface TrainOptions extends TrainingFlags {
  readonly data?: string;
  readonly out?: string;
  readonly resume?: string;
  readonly features?: string;
  readonly adapter: AdapterPreference;
}

/** All that is known before the device is opened. */
export interface TrainingPlan {
  readonly run: RunFolder;
  readonly recipe: Recipe;
  /** What pictures were asked for; absent where a run goes on. */
  readonly request?: DataRequest;
  readonly data: OpenedData;
  /** Files of published weights to begin with; to be closed. */
  readonly weights: { readonly encoder?: CheckpointReader; readonly decoder?: CheckpointReader };
  readonly resumed?: ResumableRun;
  /** Where features of a frozen vision network are kept; undefined for the user's cache. */
  readonly features?: string;
  /** What was typed, for the report. */
  readonly command: string;
}

/** What {@link TrainingFlags.augment} does: what changes no fact of a caption. */
const USUAL_AUGMENTATION: Augmentation = {
  flip: 0,
  crop: null,
  brightness: [0.8, 1.2],
  contrast: [0.8, 1.2],
  saturation: [0.8, 1.2],
  hue: [-0.02, 0.02],
  shiftScaleRotate: { shift: 0.06, scale: 0.1, rotate: 10, probability: 0.5, border: "reflect" },
};

/** What {@link TrainingFlags.rewardEpochs} does: a tenth of the rate, since rewards are a noisy teacher of what is nearly learned. */
function usualReward(learningRate: number): Omit<RewardRecipe, "epochs"> {
  return { learningRate: learningRate / 10, samples: 5, temperature: 1 };
}

/** How far reading pictures has come. */
type Reading = (done: number, total: number) => void;

/** The plan of a new run: the recipe of system, flavour and size, over it what the weights to begin with ask for, the configuration file, and last the flags. */
export async function planRun(options: TrainOptions, command: string, onReading: Reading): Promise<TrainingPlan> {
  const file = options.config === undefined ? NO_CONFIG : readConfigFile(options.config);
  const data = requestedData(options, file);
  const seed = options.seed ?? wholeField(file, "seed") ?? 1;
  const folder = data.kind === "folder" ? await findFolder(data.folder, data.holdOut ?? undefined, seed) : null;
  const base = {
    ...recipeFor({
      system: options.system ?? named(file, "system", SYSTEMS) ?? "storyteller",
      recipe: options.recipe ?? named(file, "recipe", FLAVOURS) ?? "fixed",
      size: options.size ?? named(file, "size", SIZES) ?? "tiny",
      pictures: folder === null ? null : folder.dataset.examples.length,
      ...(data.kind === "scenes" && { languages: data.languages.length, text: data.text }),
    }),
    seed,
  };
  const weights = await openWeights(options, file, base);
  try {
    const adapted = adaptRecipe(base, weights);
    const { data: _, system: __, ...settings } = file.value; // what it says of these is decided already, together with the flags
    const told = overlay({ ...adapted, augment: adapted.augment ?? (settings.augment ? NO_AUGMENTATION : null) }, settings) as object;
    const { system, recipe: flavour, size } = base;
    const config = withFlags(checkConfig({ ...told, system, recipe: flavour, size, ...(options.seed !== undefined && { seed }), data }, file), options, weights);
    if (weights.encoder === undefined && options.trainEncoder !== undefined) throw new InputError("--train-encoder says what of a network from --encoder is trained; got no such network", "name one with --encoder, or leave --train-encoder out: a network that begins with nothing is trained whole");
    const opened = await openData(config, folder, onReading);
    const run = await createRunFolder(options.out ?? newRunName(config.system, dateStamp(new Date())));
    const { data: request, ...recipe } = config;
    return { run, recipe, request, data: opened, weights, features: options.features, command };
  } catch (error) {
    await closeWeights(weights);
    throw error;
  }
}

/** The plan of a run that goes on where it stopped. */
export async function planResumed(path: string, options: TrainOptions, command: string, onReading: Reading): Promise<TrainingPlan> {
  const { resume: _, adapter: __, features, data: moved, ...decided } = options;
  const [flag] = Object.entries(decided).filter(([, value]) => value !== undefined);
  if (flag !== undefined) {
    const typed = `--${flag[0].replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new InputError(`${typed} cannot be combined with --resume: a run is continued as it was begun`, `leave ${typed} out, or start a new run`);
  }
  const found = findRun(path);
  const resumed = resumableRun(await loadSafetensors(found.checkpoint), found.checkpoint);
  const { recipe, choice } = resumed;
  const data = await reopen(choice, moved, recipe.picture, path, onReading);
  const run = found.inRunFolder ? found : await createRunFolder(newRunName(recipe.system, dateStamp(new Date())));
  return { run, recipe, ...(!found.inRunFolder && { request: requestOf(choice) }), data, weights: {}, features, command, resumed };
}

/** The request that gave a choice, for the configuration beside a run that came without one. */
function requestOf(choice: DataChoice): DataRequest {
  if (choice.kind === "folder") return { kind: "folder", folder: choice.folder, holdOut: choice.holdOut };
  return { kind: "scenes", train: choice.counts.train, languages: choice.languages, text: choice.text };
}

export async function closeWeights({ encoder, decoder }: TrainingPlan["weights"]): Promise<void> {
  await Promise.all([encoder?.close(), decoder?.close()]);
}

function requestedData(options: TrainOptions, file: ConfigFile): DataRequest {
  const { data: folder, scenes, languages, text, holdOut } = options;
  if (folder !== undefined) {
    const scenesFlag = scenes !== undefined ? "--scenes" : languages !== undefined ? "--languages" : text !== undefined ? "--text" : null;
    if (scenesFlag !== null) throw new InputError(`${scenesFlag} is about embedded scenes; got --data, a folder of pictures`, "leave one of them out");
    return { kind: "folder", folder, holdOut: holdOut ?? null };
  }
  const usual = { kind: "scenes", train: SCENE_COUNTS.train, languages: ["en"], text: "caption" } as const;
  const inFile = file.value.data === undefined ? usual : checkedData(overlay(usual, file.value.data), file);
  if (inFile.kind === "folder") return { ...inFile, holdOut: holdOut ?? inFile.holdOut };
  if (holdOut !== undefined) throw new InputError("--hold-out needs a folder of pictures; got the embedded scenes, whose splits are fixed", "leave it out, or give --data");
  return { ...inFile, ...(scenes !== undefined && { train: scenes }), ...(languages !== undefined && { languages }), ...(text !== undefined && { text }) };
}

function checkedData(value: unknown, file: ConfigFile): DataRequest {
  return located(file, () => dataRequest(value, "data"));
}

function named<T extends string>(file: ConfigFile, field: string, names: readonly T[]): T | undefined {
  const value = file.value[field];
  return value === undefined ? undefined : located(file, () => oneOf(...names)(value, field));
}

function wholeField(file: ConfigFile, field: string): number | undefined {
  const value = file.value[field];
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : undefined; // anything else is refused with the rest
}

async function openWeights(options: TrainOptions, file: ConfigFile, base: Recipe): Promise<TrainingPlan["weights"]> {
  const nameOf = (part: "encoder" | "decoder"): string | null => {
    const name = options[part] ?? (Object.hasOwn(file.value, part) ? file.value[part] : base[part]);
    return typeof name === "string" && name !== "none" ? name : null;
  };
  const open = async (name: string | null): Promise<CheckpointReader | undefined> => (name === null ? undefined : openCheckpoint(await resolveModel(name)));
  const encoder = await open(nameOf("encoder"));
  try {
    return { encoder, decoder: await open(nameOf("decoder")) };
  } catch (error) {
    await encoder?.close();
    throw error;
  }
}

function withFlags(config: RunConfig, options: TrainOptions, weights: TrainingPlan["weights"]): RunConfig {
  const { text, picture } = config;
  const { encoder, decoder, trainEncoder, epochs, rewardEpochs, batch, accumulate, lr, pictureSize, precision, checkpointing, patience, vocabulary, augment } = options;
  const training = trainEncoder !== undefined ? trainingEncoder(config.training, trainEncoder) : encoder === "none" ? trainingFromScratch(config.training) : config.training;
  const set = <T>(value: T | undefined, field: string): object => (value === undefined ? {} : { [field]: value });
  const rate = lr === undefined ? {} : ratesAt(lr, training);
  return {
    ...config,
    ...set(encoder === "none" ? null : encoder, "encoder"),
    ...set(decoder === "none" ? null : decoder, "decoder"),
    ...(augment ? { augment: config.augment ?? USUAL_AUGMENTATION } : {}),
    ...(pictureSize === undefined ? {} : resized(config, pictureSize, weights.encoder)),
    text: { ...text, ...set(vocabulary, "vocabulary") },
    training: {
      ...training,
      ...rate,
      ...set(epochs, "epochs"),
      ...(rewardEpochs === undefined ? {} : { reward: { ...usualReward(lr ?? training.learningRate), ...training.reward, epochs: rewardEpochs } }),
      ...set(batch, "batchSize"),
      ...set(accumulate, "accumulate"),
      ...set(precision, "precision"),
      ...(precision === "f16" ? { muonRate: 0 } : {}),
      ...set(checkpointing, "checkpointing"),
      ...set(patience, "patience"),
    },
    picture: pictureSize === undefined ? picture : atSize(picture, pictureSize),
  };
}

/** The model for pictures of another size; a ViT has a place for each patch. */
function resized({ model }: RunConfig, size: number, encoder: CheckpointReader | undefined): Partial<RunConfig> {
  if (model.system !== "prefix" && model.system !== "cross") return {};
  const { patch, image } = model.encoder;
  if (encoder !== undefined && size !== image) throw new InputError(`--picture-size must be ${image} with ${encoder.file}, whose ViT has a place for each patch of such pictures; got ${size}`, "leave it out");
  if (size % patch !== 0) throw new InputError(`--picture-size must be a multiple of ${patch}, the side of this model's patches; got ${size}`);
  return { model: { ...model, encoder: { ...model.encoder, image: size } } };
}

async function openData({ data, seed, picture }: RunConfig, folder: FolderData | null, onReading: Reading): Promise<OpenedData> {
  if (data.kind === "folder") return openPictures(folder!, picture, onReading);
  return openScenes(scenesChoice(seed, data.train, data.languages, data.text), picture);
}
