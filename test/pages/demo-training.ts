import type { ListedFile } from "../../src/data/file-list.ts";
import { Training } from "../../src/demo/training/training.ts";
import type { CheckpointKind, RunEnd, RunEvent, RunRequest } from "../../src/demo/training/service.ts";

/** What a run told the page. */
export interface ToldRun {
  readonly end: RunEnd | string;
  readonly losses: readonly (readonly [step: number, loss: number])[];
  readonly validations: readonly number[];
  /** Names of sample pictures, and the last captions of them. */
  readonly samples: readonly (readonly [name: string, width: number])[];
  readonly captions: readonly string[];
  readonly notes: readonly string[];
  readonly data: string;
  /** Steps that the page was told of when the run went on. */
  readonly before: number;
  readonly messages: number;
}

export const training = new Training();

const devices: GPUDevice[] = [];
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...options) {
  const device = await requestDevice.apply(this, options);
  devices.push(device);
  return device;
};

/** Runs until the end, a pause after a step, or the loss of the device after a step. */
async function follow(begin: (onEvent: (event: RunEvent) => void, signal: AbortSignal) => Promise<RunEnd>, { pauseAt = Infinity, loseAt = Infinity }: { readonly pauseAt?: number; readonly loseAt?: number } = {}): Promise<ToldRun> {
  const pause = new AbortController();
  const losses: [number, number][] = [];
  const validations: number[] = [];
  let told = { samples: [] as [string, number][], captions: [] as string[], notes: [] as readonly string[], data: "", before: 0, messages: 0 };
  const onEvent = (event: RunEvent): void => {
    told.messages++;
    if (event.kind === "begun") told = { ...told, samples: event.samples.map(({ name, picture }) => [name, picture.width]), notes: event.notes, data: event.data, before: event.steps.length };
    if (event.kind === "validated") {
      validations.push(event.validation.step);
      told.captions = event.samples.map(({ caption }) => caption);
    }
    if (event.kind !== "stepped") return;
    losses.push(...event.steps.map(({ step, loss }) => [step, loss] as [number, number]));
    if (event.now.step >= pauseAt) pause.abort();
    if (event.now.step >= loseAt) devices.at(-1)!.destroy();
  };
  const end = await begin(onEvent, pause.signal).catch((error: unknown) => String(error));
  return { end, losses, validations, ...told };
}

export const start = (request: RunRequest, stop = {}): Promise<ToldRun> => follow((onEvent, signal) => training.start(request, onEvent, signal), stop);
export const resume = (name: string, stop = {}): Promise<ToldRun> => follow((onEvent, signal) => training.resume(name, onEvent, signal), stop);

/** Files from base64, since what is passed to a page is JSON. */
export const filesOf = (files: Readonly<Record<string, string>>): ListedFile[] => Object.entries(files).map(([path, base64]) => ({ path, content: new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]) }));

async function base64Of(file: File): Promise<{ readonly name: string; readonly base64: string }> {
  const url = await new Promise<string>((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result as string));
    reader.readAsDataURL(file);
  });
  return { name: file.name, base64: url.slice(url.indexOf(",") + 1) };
}

export const checkpoint = async (name: string, kind: CheckpointKind): Promise<{ name: string; base64: string }> => base64Of(await training.checkpoint(name, kind));
export const archive = async (name: string): Promise<{ name: string; base64: string }> => base64Of(await training.archive(name));

/** The run's name, what is still needed, or the refusal. */
export async function adopt(name: string, base64: string, pictures?: Readonly<Record<string, string>>): Promise<string> {
  const [{ content }] = filesOf({ [name]: base64 });
  return training.adopt(new File([content], name), pictures && filesOf(pictures)).then((adopted) => (adopted.kind === "taken" ? adopted.name : `pictures of ${adopted.folder}`), String);
}

/** The call's refusal in words. */
export const refusal = (call: Promise<unknown>): Promise<string> => call.then(() => "nothing was refused", (error: unknown) => String(error));
