import { InputError } from "../core/errors.ts";
import { Describer, type DescribableImage, type DescribeImageOptions } from "./describer.ts";
import type { Description } from "./service.ts";
import type { WorkerChoice } from "./start-worker.ts";

export interface DescribeHereOptions extends DescribeImageOptions {
  /** The worker of all calls, or the address of its script; it counts at the first one. Default: the library's own. */
  readonly worker?: WorkerChoice;
}

/** The worker that all calls share, and what it was started from. */
let shared: { readonly describer: Describer; readonly worker: WorkerChoice | undefined } | null = null;

/**
 * Says what an image shows, for its alternative text or to tell it. Everything stays on the device: a worker captions with WebGPU,
 * started at the first call and shared by all.
 *
 * The captioner that comes with the library is tiny and knows drawn scenes of coloured shapes alone. For photographs, name another
 * `model`: a checkpoint of your own, or a published one, which is downloaded once and kept by the browser.
 *
 * @example
 * const image = document.querySelector("img")!;
 * image.alt = await describe(image, { model: "vit-gpt2" });
 * @throws InputError if the image or the model cannot be used; an image of another origin needs a server that allows to read it (CORS).
 * @throws NetworkError if a server cannot be reached. @throws CheckpointError if the model is no captioner.
 * @throws DeviceError where there is no WebGPU. Errors of the worker come with their `name` and message, as plain errors.
 */
export async function describe(image: DescribableImage, options: DescribeHereOptions = {}): Promise<string> {
  const { captions } = await describeFully(image, options);
  return captions[0].text;
}

/** {@link describe} with all that is known: scores, why the text ended, the time it took. */
export async function describeFully(image: DescribableImage, { worker, ...options }: DescribeHereOptions = {}): Promise<Description> {
  shared ??= { describer: new Describer(worker), worker };
  const mine = shared;
  if (worker !== undefined && worker !== mine.worker) throw new InputError("describe: all calls share the worker of the first one; got another", "call releaseDescriber() before, or make a Describer of your own");
  try {
    return await mine.describer.describe(image, options);
  } catch (error) {
    if (mine.describer.ended && shared === mine) releaseDescriber(); // the next call starts another one
    throw error;
  }
}

/** Ends the worker of {@link describe} and gives its memory back. The next call starts another one. */
export function releaseDescriber(): void {
  shared?.describer.release();
  shared = null;
}
