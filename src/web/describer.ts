import { InputError } from "../core/errors.ts";
import { fetchFile } from "./fetched.ts";
import { callback, remote, type Remote } from "./remote.ts";
import type { CaptionerSource, CaptionService, Description, LoadProgress, Picture } from "./service.ts";
import { startWorker, type WorkerChoice } from "./start-worker.ts";

/** A picture that a page has: an image element, a file, pixels, or an address. */
export type DescribableImage = HTMLImageElement | Blob | ImageData | string;

export interface DescribeImageOptions {
  /**
   * The captioner: the address of a checkpoint, or a published model's name. Default: a tiny one that comes with the library, and knows
   * drawn scenes of coloured shapes alone; photographs need another one.
   */
  readonly model?: string;
  /** The language to speak, by its tag, such as `<de>`, where the captioner knows several. */
  readonly language?: string;
  /** Whether to tell a story in several sentences. Default: one sentence. */
  readonly story?: boolean;
  /** Takes the request back; a download ends, what has arrived of a published model is kept. */
  readonly signal?: AbortSignal;
  /** Called with each piece of the text as it is made; by captioners that choose words one by one. */
  readonly onText?: (text: string) => void;
  /** Called while the captioner is downloaded. */
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** The longest side of an image that is copied from the page where its file cannot be had. */
const COPIED_SIDE = 1024;

/** How addresses begin, and names of files with weights end; all else is a published model's name. */
const ADDRESS = /^(?:[a-z][a-z0-9+.-]*:|\/|\.{1,2}\/)|\.(?:safetensors|pth?|bin|index\.json)(?:[?#]|$)/i;

/** Says what pictures show, one after the other, in a worker of its own. */
export class Describer {
  private readonly worker: Worker;
  private readonly ownsWorker: boolean;
  private readonly service: Remote<CaptionService>;
  private model: string | null = null;
  private turn: Promise<unknown> = Promise.resolve();
  /** How calls under way are refused. */
  private readonly waiting = new Set<(reason: Error) => void>();
  /** Why no call is answered any more. */
  private end: Error | null = null;

  /** @param worker A worker that offers a captioner, or the address of its script. Default: the library's own. */
  constructor(worker?: WorkerChoice) {
    this.worker = startWorker(worker);
    this.ownsWorker = this.worker !== worker;
    this.service = remote<CaptionService>(this.worker);
    this.worker.addEventListener("error", ({ message }) => {
      const why = message ? `it failed: ${message}` : "it did not start";
      this.refuse(new InputError(`the captioner's worker must run; ${why}`, "check that its script can be loaded, and that the page's Content-Security-Policy allows it in worker-src"));
    });
  }

  /** Whether it was released, or its worker failed: no call is answered any more. */
  get ended(): boolean {
    return this.end !== null;
  }

  /**
   * What an image shows, with all that is known of the text.
   * @throws InputError if the image or the model cannot be used, or may not be read by this page.
   * @throws DeviceError where there is no WebGPU. @throws Error with the signal's reason, if that ends it.
   */
  describe(image: DescribableImage, options: DescribeImageOptions = {}): Promise<Description> {
    const { signal } = options;
    const refused = this.end ?? (signal?.aborted === true ? (signal.reason as Error) : null);
    if (refused !== null) return Promise.reject(refused);
    const done = this.turn.then(() => this.describeNow(image, options));
    this.turn = done.catch(() => undefined);
    return new Promise<Description>((resolve, reject) => {
      const abort = (): void => settle(() => reject(signal!.reason as Error));
      const refuse = (reason: Error): void => settle(() => reject(reason));
      const settle = (outcome: () => void): void => {
        this.waiting.delete(refuse);
        signal?.removeEventListener("abort", abort);
        outcome();
      };
      this.waiting.add(refuse);
      signal?.addEventListener("abort", abort);
      done.then((description) => settle(() => resolve(description)), refuse);
    });
  }

  /** Ends the worker, unless it was given. What is under way is refused. */
  release(): void {
    if (this.ownsWorker) this.worker.terminate();
    this.refuse(new InputError("the describer must be there until its texts are; it was released", "release it later, or ask anew"));
  }

  private refuse(reason: Error): void {
    this.end ??= reason;
    for (const refuse of this.waiting) refuse(reason);
  }

  private async describeNow(image: DescribableImage, { model = defaultModel(), language, story, signal, onText, onProgress }: DescribeImageOptions): Promise<Description> {
    signal?.throwIfAborted();
    const picture = await pictureOf(image, signal);
    if (model !== this.model) {
      await this.service.open(sourceOf(model), onProgress && callback(onProgress), signal);
      this.model = model;
    }
    return this.service.describe(picture, { language, story, name: nameOf(image) }, onText && callback(onText));
  }
}

/** The tiny captioner of the package, which lies two folders above this file, in the sources as in what is built. */
function defaultModel(): string {
  return new URL("../../weights/cross-scenes.safetensors", import.meta.url).href;
}

function sourceOf(model: string): CaptionerSource {
  return ADDRESS.test(model) ? { kind: "address", address: new URL(model, document.baseURI).href } : { kind: "published", name: model };
}

function addressOf(image: HTMLImageElement): string {
  return image.currentSrc || image.src;
}

function nameOf(image: DescribableImage): string | undefined {
  const address = typeof image === "string" ? image : image instanceof HTMLImageElement ? addressOf(image) : undefined;
  return address === undefined ? undefined : address.startsWith("data:") ? "the picture" : address.replace(/[?#].*$/s, "").replace(/^.*\//s, "") || address;
}

/** The image's own file wherever it can be had: what a page shows of it may be scaled. */
async function pictureOf(image: DescribableImage, signal: AbortSignal | undefined): Promise<Picture> {
  if (image instanceof Blob || image instanceof ImageData) return image;
  if (typeof image === "string") return fetchFile(image, { signal });
  const address = addressOf(image);
  if (address === "") throw new InputError("an image must have a source to be described; got one without", "set its src first");
  try {
    const file = await fetchFile(address, { signal });
    return file.type.startsWith("image/svg") ? ((await copyOf(image)) ?? file) : file;
  } catch (error) {
    signal?.throwIfAborted();
    const copy = await copyOf(image); // it may still be shown: an object's address that was revoked, a policy that forbids to fetch it
    if (copy === null) throw error;
    return copy;
  }
}

/** The pixels that a page shows; null where there are none, or they come from a server that does not allow to read them. */
async function copyOf(image: HTMLImageElement): Promise<ImageData | null> {
  try {
    await image.decode();
    const [width, height] = [image.naturalWidth || COPIED_SIDE, image.naturalHeight || COPIED_SIDE];
    const scale = Math.min(1, COPIED_SIDE / Math.max(width, height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
    const context = canvas.getContext("2d")!;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  } catch {
    return null;
  }
}
