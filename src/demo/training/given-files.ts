import type { ListedFile } from "../../data/file-list.ts";

/** A folder that was chosen or dropped. */
export interface GivenFolder {
  readonly name: string;
  readonly files: readonly ListedFile[];
}

/** What a folder's file input holds. */
export function chosenFolder(files: readonly File[]): GivenFolder {
  const [name = "pictures"] = files[0]?.webkitRelativePath.split("/") ?? [];
  return { name, files: files.map((file) => ({ path: file.webkitRelativePath.slice(name.length + 1) || file.name, content: file })) };
}

/**
 * What was dropped: the one folder, or all together. To be called in the event itself, after which browsers forget what was dropped.
 * @throws Error if a folder cannot be read.
 */
export async function droppedFolder({ items }: DataTransfer): Promise<GivenFolder> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const only = entries.length === 1 ? entries[0] : null;
  if (only?.isDirectory) return { name: only.name, files: await filesBelow(only, "") };
  const files = await Promise.all(entries.map((entry) => filesBelow(entry, entry.name)));
  return { name: "dropped", files: files.flat() };
}

async function filesBelow(entry: FileSystemEntry, path: string): Promise<ListedFile[]> {
  if (entry.isFile) return [{ path, content: await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)) }];
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const files: ListedFile[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred at a time
    if (some.length === 0) return files;
    for (const inside of some) files.push(...(await filesBelow(inside, path === "" ? inside.name : `${path}/${inside.name}`)));
  }
}
