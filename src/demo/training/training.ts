import { Captioner } from "../../caption/captioner.ts";
import { findPictures, openPictures, openScenes, scenesChoice, type DataChoice, type FolderChoice, type FolderData, type OpenedData } from "../../caption/data-choice.ts";
import { ratesAt } from "../../caption/adapt-recipe.ts";
import { prepareCaptioner } from "../../caption/prepare.ts";
import { readRecipe, type Recipe } from "../../caption/recipe.ts";
import { recipeFor } from "../../caption/recipes.ts";
import { resumableRun, type ResumableRun } from "../../caption/resume.ts";
import { readSafetensors } from "../../checkpoint/safetensors.ts";
import { CheckpointError, DeviceError, InputError } from "../../core/errors.ts";
import { counted } from "../../core/format.ts";
import { TEXT_NAME } from "../../data/caption-formats.ts";
import { PICTURE_NAME } from "../../data/captions.ts";
import { FileListFolder, type ListedFile } from "../../data/file-list.ts";
import { findingLine } from "../../data/findings.ts";
import { requestDevice, type Device } from "../../device/device.ts";
import { lossOf } from "../../device/loss.ts";
import { RunStore } from "./run-store.ts";
import { MESSAGE_EVERY, trainRun } from "./run.ts";
import type { Adopted, CheckpointKind, PicturesReport, PicturesRequest, RunEnd, RunEvent, RunRequest, RunSettings, RunSummary, ScenesRequest, TrainingService } from "./service.ts";

/** The class behind the worker: runs, one at a time, and what is kept of them. */
export class Training implements TrainingService {
  private busy = false;

  async defaults(system: RunRequest["system"], size: RunRequest["size"], data: ScenesRequest | number): Promise<RunSettings> {
    const { seed, training } = usualRecipe({ system, size }, data);
    return { seed, epochs: training.epochs, batchSize: training.batchSize, learningRate: training.learningRate };
  }

  async check(name: string, files: readonly ListedFile[]): Promise<PicturesReport> {
    const { dataset } = await openRequested({ kind: "pictures", name, files }, 1);
    return {
      pictures: dataset.examples.length,
      captions: dataset.examples.reduce((sum, { captions }) => sum + captions.length, 0),
      source: dataset.used.map(({ file }) => file).join(" + "),
      findings: dataset.findings.map(findingLine),
    };
  }

  async start(request: RunRequest, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<RunEnd> {
    return this.alone(async (store) => {
      onEvent({ kind: "preparing", what: "reading pictures", done: 0, total: 0 });
      const name = await create(store, request);
      return this.train(store, name, onEvent, signal);
    });
  }

  async resume(name: string, onEvent: (event: RunEvent) => void, signal: AbortSignal): Promise<RunEnd> {
    return this.alone((store) => this.train(store, name, onEvent, signal));
  }

  async adopt(checkpoint: File, pictures?: readonly ListedFile[]): Promise<Adopted> {
    const { recipe, choice, state } = await readCheckpoint(checkpoint, checkpoint.name);
    if (choice.kind === "folder" && pictures === undefined) return { kind: "needs pictures", folder: aboutOf(choice) };
    const learned = choice.kind === "folder" ? await samePictures(choice, pictures!, checkpoint.name) : [];
    const store = await RunStore.open();
    return { kind: "taken", name: await store.create({ about: aboutOf(choice), recipe, choice, step: state.step, steps: 0, bestLoss: state.bestLoss }, learned, checkpoint) };
  }

  async runs(): Promise<readonly RunSummary[]> {
    return (await RunStore.open()).list();
  }

  async remove(name: string): Promise<void> {
    await (await RunStore.open()).remove(name);
  }

  async checkpoint(name: string, kind: CheckpointKind): Promise<File> {
    const file = await (await RunStore.open()).checkpoint(name, kind);
    if (file === null) throw new InputError(`${name} must have its ${kind} checkpoint; got a run without it`, "the first is saved at the first validation");
    return new File([await file.arrayBuffer()], `${name}-${kind}.safetensors`); // a copy: the stored one is replaced when the run goes on
  }

  async archive(name: string): Promise<File> {
    const files = await (await RunStore.open()).files(name);
    return (await import("./zip.ts")).zip(files, `${name}.zip`);
  }

  private async alone<T>(task: (store: RunStore) => Promise<T>): Promise<T> {
    if (this.busy) throw new InputError("a tab trains one run at a time; got another one that is under way", "pause it first");
    this.busy = true;
    try {
      return await task(await RunStore.open());
    } finally {
      this.busy = false;
    }
  }

  /** Trains a stored run, with a device of its own. */
  private async train(store: RunStore, name: string, tell: (event: RunEvent) => void, signal: AbortSignal): Promise<RunEnd> {
    const onEvent = sparing(tell);
    const release = await store.take(name);
    try {
      const record = await store.read(name);
      const last = await store.checkpoint(name, "last");
      const resumed = last === null ? undefined : await readCheckpoint(last, name);
      const reading = (done: number, total: number): void => onEvent({ kind: "preparing", what: "reading pictures", done, total });
      const data = await openStored(store, name, record.choice, record.recipe, reading);
      return await withDevice(async (device) => {
        requirePrecision(device, record.recipe);
        onEvent({ kind: "preparing", what: "making the model", done: 0, total: 0 });
        const captioner = resumed === undefined ? await prepareCaptioner(device, data.source, record.recipe) : await Captioner.fromCheckpoint(device, resumed.file, name);
        return trainRun({ store, record, captioner, data, resumed, onEvent, signal });
      });
    } finally {
      release();
    }
  }
}

/** Passes events on, but of those about one part of the preparation no more than a page can draw. */
function sparing(tell: (event: RunEvent) => void): (event: RunEvent) => void {
  let last = { what: "", time: 0 };
  return (event) => {
    if (event.kind === "preparing") {
      const now = performance.now();
      if (event.what === last.what && event.done < event.total && now - last.time < MESSAGE_EVERY) return;
      last = { what: event.what, time: now };
    }
    tell(event);
  };
}

/** Makes the run that is asked for. */
async function create(store: RunStore, { data, system, size, settings = {} }: RunRequest): Promise<string> {
  const seed = settings.seed ?? 1;
  const found = data.kind === "pictures" ? await openRequested(data, seed) : null;
  const usual = usualRecipe({ system, size }, data.kind === "scenes" ? data : found!.dataset.examples.length);
  const { epochs = usual.training.epochs, batchSize = usual.training.batchSize, learningRate = usual.training.learningRate } = settings;
  const recipe = readRecipe({ ...usual, seed, training: { ...usual.training, ...ratesAt(learningRate, usual.training), epochs, batchSize } }, "");
  const choice = data.kind === "scenes" ? scenesChoice(seed, data.train, data.languages, data.text) : found!.choice;
  const pictures = data.kind === "scenes" ? [] : neededOf(data.files, found!);
  return store.create({ about: aboutOf(choice), recipe, choice, step: 0, steps: 0, bestLoss: null }, pictures);
}

function usualRecipe(kind: Pick<RunRequest, "system" | "size">, data: ScenesRequest | number): Recipe {
  const ofData = typeof data === "number" ? { pictures: data } : { pictures: null, languages: data.languages.length, text: data.text };
  return recipeFor({ ...kind, recipe: "fixed", ...ofData });
}

async function openRequested({ name, files }: Pick<PicturesRequest, "name" | "files"> & { readonly kind: "pictures" }, seed: number): Promise<FolderData> {
  return findPictures(new FileListFolder(name, files), name, undefined, seed);
}

/** The pictures with captions, and every text: captions and splits may come from several. */
function neededOf(files: readonly ListedFile[], { dataset, choice }: FolderData): ListedFile[] {
  const pictures = new Set(dataset.examples.map((example) => dataset.path(example)));
  return files.filter(({ path }) => (PICTURE_NAME.test(path) ? pictures.has(`${choice.folder}/${path}`) : TEXT_NAME.test(path)));
}

async function openStored(store: RunStore, name: string, choice: DataChoice, recipe: Recipe, reading: (done: number, total: number) => void): Promise<OpenedData> {
  if (choice.kind === "scenes") return openScenes(choice, recipe.picture);
  const found = await findPictures(new FileListFolder(choice.folder, await store.pictures(name)), choice.folder, choice.holdOut, choice.seed);
  if (found.choice.fingerprint !== choice.fingerprint) throw new InputError(`${name}: its pictures must be as they were; got others, or some are gone`, "the browser's storage was changed; start a new run");
  return openPictures(found, recipe.picture, reading);
}

/** The pictures that a run from elsewhere learned from. @throws InputError if those given are others. */
async function samePictures(choice: FolderChoice, pictures: readonly ListedFile[], name: string): Promise<ListedFile[]> {
  const place = aboutOf(choice);
  const found = await findPictures(new FileListFolder(place, pictures), place, choice.holdOut, choice.seed);
  if (found.choice.fingerprint === choice.fingerprint) return neededOf(pictures, found);
  throw new InputError(`${name} must be continued with the pictures and captions that it learned from, those of ${place}; got a folder in which some differ`, "choose the folder that it was begun with");
}

async function readCheckpoint(file: File, name: string): Promise<ResumableRun> {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const run = resumableRun(readSafetensors(bytes, name), name);
  if (run.recipe.size === "full") throw new CheckpointError(`${name}: a page trains captioners of size tiny or small; got one of size full`, "go on with it on the command line");
  return run;
}

/** @throws InputError if the adapter has no f16, which the run computes with. */
function requirePrecision(device: Device, { training }: Recipe): void {
  if (training.precision === "f16" && !device.limits.features.has("shader-f16")) throw new InputError("this run computes in f16: it needs an adapter with the feature shader-f16; got one without it", "go on with it on another device");
}

/** Opens a device for a task and gives it back; says in plain words if the device is lost meanwhile. */
async function withDevice<T>(task: (device: Device) => Promise<T>): Promise<T> {
  const device = await requestDevice();
  try {
    return await task(device);
  } catch (cause) {
    const loss = await lossOf(device);
    if (loss === null) throw cause;
    throw new DeviceError(`the graphics processor stopped answering, which browsers do after long work, a driver update or sleep; got: ${loss}`, "resume the run: it goes on from its last checkpoint", { cause });
  } finally {
    await device.close();
  }
}

function aboutOf(choice: DataChoice): string {
  if (choice.kind === "folder") return choice.folder.split(/[\\/]/).at(-1)!;
  const { counts, languages, text } = choice;
  return `${counted(counts.train, "scene")}, ${text === "story" ? "stories" : "captions"}${languages.join() === "en" ? "" : ` in ${languages.join(", ")}`}`;
}
