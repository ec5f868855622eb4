import { attempt, ifThere, openStorage, readText, takeLock, writeWhole } from "../../checkpoint/browser-files.ts";
import { csvRow } from "../../core/format.ts";
import { PICTURE_NAME } from "../../data/captions.ts";
import type { ListedFile } from "../../data/file-list.ts";

/** A picture that a caption is written for. */
export interface DraftPicture {
  /** Its file's name in the storage. */
  readonly id: string;
  /** As captions.txt names it. */
  readonly name: string;
  /** A caption a line. */
  readonly captions: string;
  readonly content: Blob;
}

const FOLDER = "training-draft";
const LIST = "draft.json";

let taken: Promise<boolean> | null = null;

/** Whether this tab is the one that keeps pictures and captions, from the first call on until it is closed. */
export function takeDraft(): Promise<boolean> {
  return (taken ??= takeLock(FOLDER).then((release) => release !== null));
}

/** The pictures and captions that were kept, in their order. */
export async function loadDraft(): Promise<DraftPicture[]> {
  const folder = await openStorage(FOLDER);
  const list = JSON.parse((await readText(folder, LIST)) ?? "[]") as Omit<DraftPicture, "content">[];
  const pictures = await Promise.all(list.map(async (entry) => {
    const handle = await ifThere(folder.getFileHandle(entry.id));
    return handle === null ? [] : [{ ...entry, content: await handle.getFile() }];
  }));
  return pictures.flat();
}

/** Keeps the captions, and the names of their pictures. */
export async function saveCaptions(pictures: readonly DraftPicture[]): Promise<void> {
  const list = pictures.map(({ id, name, captions }) => ({ id, name, captions }));
  await attempt(writeWhole(await openStorage(FOLDER), LIST, JSON.stringify(list)));
}

/**
 * Keeps a picture's content under a name that none of the others has. What is no JPEG or PNG is drawn as a PNG.
 * @returns The picture, which is not in the list yet; null where the browser cannot read it.
 */
export async function keepPicture(others: () => readonly DraftPicture[], { path, content }: ListedFile): Promise<DraftPicture | null> {
  const base = path.slice(path.lastIndexOf("/") + 1);
  const readable = PICTURE_NAME.test(base) ? content : await asPng(content);
  if (readable === null) return null;
  const id = crypto.randomUUID();
  await attempt(writeWhole(await openStorage(FOLDER), id, readable));
  return { id, name: freeName(PICTURE_NAME.test(base) ? base : `${base}.png`, others()), captions: "", content: readable };
}

/** Deletes a picture's content, which no list names any more. */
export async function forgetPicture(id: string): Promise<void> {
  await (await openStorage(FOLDER)).removeEntry(id).catch(() => undefined); // without an entry it is never looked for
}

/** The pictures that have a caption, and the captions.txt that the command line would read beside them. */
export function draftFiles(pictures: readonly DraftPicture[]): ListedFile[] {
  const rows = pictures.flatMap(({ name, captions }) => captionsIn(captions).map((caption) => csvRow([name, caption])));
  const captions = new Blob([`image,caption\n${rows.join("\n")}\n`]);
  return [...pictures.filter((picture) => captionsIn(picture.captions).length > 0).map(({ name, content }) => ({ path: name, content })), { path: "captions.txt", content: captions }];
}

/** A caption a line. */
export function captionsIn(text: string): string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
}

async function asPng(content: Blob): Promise<Blob | null> {
  try {
    const bitmap = await createImageBitmap(content);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d")!.drawImage(bitmap, 0, 0);
    bitmap.close();
    return await canvas.convertToBlob({ type: "image/png" });
  } catch {
    return null;
  }
}

function freeName(wanted: string, pictures: readonly DraftPicture[]): string {
  const taken = new Set(pictures.map(({ name }) => name.toLowerCase()));
  const dot = wanted.lastIndexOf(".");
  for (let name = wanted, i = 2; ; name = `${wanted.slice(0, dot)}-${i++}${wanted.slice(dot)}`) if (!taken.has(name.toLowerCase())) return name;
}
