import { looksAtPlaces } from "../caption/attention-maps.ts";
import { asStory, type OpenedCaptioner } from "../caption/opened-captioner.ts";
import { wordMaps } from "../caption/word-maps.ts";
import { DeviceError, InputError, SightlineError } from "../core/errors.ts";
import { preprocess } from "../data/preprocess.ts";
import type { AdapterSummary } from "../device/adapter.ts";
import { requestDevice, type Device } from "../device/device.ts";
import { lossOf } from "../device/loss.ts";
import { openCaptioner, type WebHub } from "./open-captioner.ts";
import { readPicture } from "./picture.ts";
import { listPublished, removePublished } from "./published-list.ts";
import type { CaptionerFacts, CaptionerSource, CaptionService, DescribeRequest, Description, LoadProgress, Picture, PublishedEntry } from "./service.ts";

/** Between two reports of a download, in milliseconds: no eye sees more. */
const REPORT_EVERY = 50;

/** What a page's captioner does, wherever it runs: in a worker, as a rule. */
export class Captioning implements CaptionService {
  private readonly hub: WebHub;
  private device: Promise<Device> | null = null;
  /** What was opened last: opened again on another device when one is lost. */
  private source: CaptionerSource | null = null;
  private opened: OpenedCaptioner | null = null;
  private turn: Promise<unknown> = Promise.resolve();

  /** @param hub Where published models come from, and where they are kept. */
  constructor(hub: WebHub = {}) {
    this.hub = hub;
  }

  async adapter(): Promise<AdapterSummary> {
    return (await this.openDevice()).adapter;
  }

  open(source: CaptionerSource, onProgress?: (progress: LoadProgress) => void, signal?: AbortSignal): Promise<CaptionerFacts> {
    return this.inTurn(signal, async (device) => {
      const report = onProgress && sparing(onProgress);
      const opened = await openCaptioner(device, source, { hub: this.hub, onProgress: report?.next, signal }).finally(report?.end);
      this.opened?.captioner.dispose();
      [this.opened, this.source] = [opened, source];
      return factsOf(opened);
    });
  }

  describe(picture: Picture, request: DescribeRequest = {}, onText?: (text: string) => void, signal?: AbortSignal): Promise<Description> {
    const { story = false, attention = false, name, ...asked } = request;
    return this.inTurn(signal, async (device) => {
      const opened = await this.reopened(device);
      const { captioner } = opened;
      const image = await readPicture(picture, name);
      const began = performance.now();
      const { size } = captioner.preprocessing;
      const pixels = { shape: [1, 3, size, size], data: preprocess(image, captioner.preprocessing) };
      const heard: unknown[] = []; // where the callback is a page's, when each piece has reached it
      const options = { ...(story ? asStory(asked, opened) : asked), ...(onText && { onText: (_: number, text: string) => heard.push(onText(text)) }) };
      const [captions] = await captioner.describeBatch(pixels, options);
      const milliseconds = performance.now() - began;
      await Promise.all(heard);
      const maps = attention ? await wordMaps(captioner, pixels, [captions[0].ids], asked.language) : null;
      return { captions, words: maps === null ? null : maps[0], milliseconds };
    });
  }

  published(): Promise<readonly PublishedEntry[]> {
    return listPublished(this.hub);
  }

  remove(name: string): Promise<void> {
    return removePublished(name, this.hub);
  }

  /** One piece of work after the other, on a device that is there. @throws DeviceError if it is lost meanwhile. */
  private inTurn<T>(signal: AbortSignal | undefined, work: (device: Device) => Promise<T>): Promise<T> {
    const done = this.turn.then(async () => {
      signal?.throwIfAborted();
      const device = await this.openDevice();
      try {
        return await work(device);
      } catch (error) {
        if (signal?.aborted || (error instanceof SightlineError && !(error instanceof DeviceError)) || (await lossOf(device)) === null) throw error;
        throw new DeviceError("the graphics device must stay while it is at work; it was lost", "try again: it is opened anew, and the captioner with it", { cause: error });
      }
    });
    this.turn = done.catch(() => undefined);
    return done;
  }

  private openDevice(): Promise<Device> {
    if (this.device !== null) return this.device;
    const opening = requestDevice();
    const forget = (): void => {
      if (this.device === opening) [this.device, this.opened] = [null, null];
    };
    opening.then(({ lost }) => lost.then(forget), forget);
    return (this.device = opening);
  }

  private async reopened(device: Device): Promise<OpenedCaptioner> {
    if (this.opened?.captioner.device === device) return this.opened; // one that was opened while its device was lost is of no use
    if (this.source === null) throw new InputError("describe: a captioner must be open; got none", "call open() with one first");
    return (this.opened = await openCaptioner(device, this.source, { hub: this.hub }));
  }
}

function factsOf({ captioner, tellsStories }: OpenedCaptioner): CaptionerFacts {
  const { system, model, codec, preprocessing, config } = captioner;
  return { system, parameters: model.parameterCount(), vocabulary: codec.size, pictureSize: preprocessing.size, languages: codec.languages, tellsStories, looks: looksAtPlaces(config.model) };
}

/** Reports now and then, the last one too; `end` waits until it has come. */
function sparing(report: (progress: LoadProgress) => unknown): { readonly next: (progress: LoadProgress) => void; readonly end: () => Promise<void> } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let waiting: LoadProgress | undefined;
  let sent: unknown;
  const next = (progress: LoadProgress): void => {
    if (timer !== undefined) return void (waiting = progress);
    sent = report(progress);
    timer = setTimeout(flush, REPORT_EVERY);
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (waiting !== undefined) next(waiting);
    waiting = undefined;
  };
  const end = async (): Promise<void> => {
    flush();
    clearTimeout(timer);
    await sent;
  };
  return { next, end };
}
