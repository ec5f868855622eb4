import type { OpenedCaptioner } from "../../src/caption/opened-captioner.ts";
import type { Device } from "../../src/device/device.ts";
import { Captioning } from "../../src/web/captioning.ts";
import { callback, defineSightLine, describe, Describer, describeFully, releaseDescriber, remote, type CaptionService, type DescribeHereOptions, type DescribeRequest } from "../../src/web/index.ts";
import { readPicture } from "../../src/web/picture.ts";

export { defineSightLine, describe, Describer, releaseDescriber };

/** What a page is given of a picture. */
export type Given = { readonly address: string } | { readonly image: string } | { readonly blob: string } | { readonly pixels: string };

/** What a page has, of the picture at an address: the address, an element, a file, or pixels. */
async function given(what: Given): Promise<string | HTMLImageElement | Blob | ImageData> {
  if ("address" in what) return what.address;
  if ("image" in what) return Object.assign(new Image(), { src: what.image });
  const file = await (await fetch("blob" in what ? what.blob : what.pixels)).blob();
  if ("blob" in what) return file;
  const bitmap = await createImageBitmap(file);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d")!;
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** The text, the pieces in which it came, and its score. */
export async function said(what: Given, options: DescribeHereOptions = {}): Promise<{ text: string; pieces: string[]; score: number }> {
  const pieces: string[] = [];
  const { captions: [{ text, score }] } = await describeFully(await given(what), { ...options, onText: (piece) => pieces.push(piece) });
  return { text, pieces, score };
}

/** How a call failed. */
export async function failure(call: Promise<unknown>): Promise<string> {
  return call.then(() => "nothing failed", (error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error)));
}

/** The bytes of a picture that is read, and its size; `[width, height, ...RGB]`. */
export async function pixelsOf(bytes: readonly number[], type = ""): Promise<number[]> {
  const { width, height, data } = await readPicture(new Blob([Uint8Array.from(bytes)], { type }));
  return [width, height, ...data];
}

/** A picture of transparent, half transparent and opaque red, as the browser itself writes it. */
export async function drawn(type: string): Promise<number[]> {
  const canvas = new OffscreenCanvas(3, 2);
  const context = canvas.getContext("2d")!;
  context.fillStyle = "rgb(255 0 0 / 50%)";
  context.fillRect(1, 0, 1, 2);
  context.fillStyle = "rgb(255 0 0)";
  context.fillRect(2, 0, 1, 2);
  return [...new Uint8Array(await (await canvas.convertToBlob({ type, quality: 1 })).arrayBuffer())];
}

/** A bitmap of two colours and so many pixels; the browser reads it, this library does not. */
export async function refusedBitmap(width: number, height: number): Promise<string> {
  const row = Math.ceil(width / 32) * 4;
  const bytes = new Uint8Array(62 + row * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  for (const [at, value] of [[2, bytes.length], [10, 62], [14, 40], [18, width], [22, height], [46, 2], [58, 0xffffff]]) view.setUint32(at, value, true);
  for (const at of [26, 28]) view.setUint16(at, 1, true);
  return failure(readPicture(new Blob([bytes])));
}

const services = new Map<string, CaptionService>();

/** A captioner's worker that pulls published models from an endpoint; one for each. */
function hubService(endpoint: string): CaptionService {
  const service = services.get(endpoint) ?? (remote<CaptionService>(new Worker(`/hub-worker.mjs#${endpoint}`, { type: "module" })) as CaptionService);
  services.set(endpoint, service);
  return service;
}

/** Calls of a service, as a test makes them from outside. */
export const hub = {
  received: 0,
  ending: new AbortController(),
  open(endpoint: string, name: string): Promise<string> {
    hub.ending = new AbortController();
    return failure(hubService(endpoint).open({ kind: "published", name }, callback(({ received }) => void (hub.received = received)), hub.ending.signal));
  },
  openFiles: async (endpoint: string, addresses: readonly string[]) => {
    const [file, ...beside] = await Promise.all(addresses.map(async (address) => new File([await (await fetch(address)).blob()], address.replace(/.*\//, ""))));
    return hubService(endpoint).open({ kind: "file", file, beside });
  },
  describe: async (endpoint: string, address: string, request: DescribeRequest) => hubService(endpoint).describe(await (await fetch(address)).blob(), request),
  facts: (endpoint: string, address: string) => hubService(endpoint).open({ kind: "address", address }),
  published: (endpoint: string) => hubService(endpoint).published(),
  remove: (endpoint: string, name: string) => hubService(endpoint).remove(name),
};

const here = new Captioning();

/** The device that the page's own captioner has at the moment. */
async function deviceHere(): Promise<Device> {
  await here.adapter();
  return (here as unknown as { readonly device: Promise<Device> }).device;
}

/** A captioner in the page itself, whose device a test can take away: before a text, and in the middle of one. */
export async function afterLosses(model: string, picture: string): Promise<{ before: string; after: string; during: string; again: string; adapter: string; disposed: boolean }> {
  const file = await (await fetch(picture)).blob();
  const tell = async (onText?: () => void): Promise<string> => (await here.describe(file, {}, onText)).captions[0].text;
  await here.open({ kind: "address", address: model });
  const before = await tell();
  const { captioner } = (here as unknown as { readonly opened: OpenedCaptioner }).opened;
  const device = await deviceHere();
  device.gpu.destroy();
  await device.lost;
  const after = await tell();
  const other = await deviceHere();
  const during = await failure(tell(() => other.gpu.destroy()));
  const again = await tell();
  return { before, after, during, again, adapter: (await here.adapter()).kind, disposed: captioner !== (here as unknown as { readonly opened: OpenedCaptioner }).opened.captioner };
}

/** What an element told, in order: `described one.png: a red circle`. */
export const told: string[] = [];

for (const type of ["sight-line-described", "sight-line-failed"]) {
  document.addEventListener(type, (event) => {
    const { image, text, error } = (event as CustomEvent<{ image: HTMLImageElement; text?: string; error?: Error }>).detail;
    told.push(`${type.slice("sight-line-".length)} ${new URL(image.src).pathname.slice(1)}: ${text ?? error!.message}`);
  });
}
