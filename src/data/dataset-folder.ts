/** A folder with a data set, wherever it is: on a disk, or files that a page was given. */

import { PICTURE_NAME } from "./captions.ts";
import { TEXT_NAME } from "./caption-formats.ts";

/** Paths relative to the folder, with forward slashes, sorted; what is upper comes first. */
export interface FolderListing {
  readonly pictures: readonly string[];
  /** Pictures in formats that aren't read. */
  readonly foreign: readonly string[];
  /** Files that may hold captions or splits. */
  readonly texts: readonly string[];
  /** How many files and folders there are, whatever they hold. */
  readonly entries: number;
}

/** Files by their paths in the folder, as its listing has them. */
export interface DatasetFolder {
  /** As people know it, for messages. */
  readonly name: string;
  /** Looks through the folder and all below it. @throws InputError if it cannot be read, or holds more than a million files. */
  list(): Promise<FolderListing>;
  /** Where a file is, as people know it. */
  pathOf(file: string): string;
  /** Bytes of a file. @throws InputError if it cannot be read. */
  sizeOf(file: string): Promise<number>;
  /** The bytes [begin, end) of a file; without numbers all of it. @throws InputError if it cannot be read. */
  read(file: string, begin?: number, end?: number): Promise<Uint8Array>;
  /** The SHA-256 of a file, in hexadecimal. @throws InputError if it cannot be read. */
  digest(file: string): Promise<string>;
}

/** Beyond is a whole disk by mistake: four times what COCO unpacks to. */
export const MOST_FILES = 1_000_000;

const FOREIGN_PICTURE = /\.(?:webp|gif|bmp|tiff?|avif|hei[cf])$/i;
const HIDDEN = /^(?:\.|node_modules$)/; // the file system's and tools' own; macOS keeps a "._dog.jpg" beside dog.jpg

/** Whether a file or folder is left alone. @param name Without the folders around it. */
export function isHidden(name: string): boolean {
  return HIDDEN.test(name);
}

/** What a data set may hold, among files. @param paths In the order in which they are found. */
export function listingOf(paths: readonly string[], entries: number): FolderListing {
  const texts = paths.filter((path) => !PICTURE_NAME.test(path) && !FOREIGN_PICTURE.test(path) && TEXT_NAME.test(path));
  return {
    pictures: paths.filter((path) => PICTURE_NAME.test(path)),
    foreign: paths.filter((path) => FOREIGN_PICTURE.test(path)),
    texts: texts.sort((a, b) => depthOf(a) - depthOf(b)),
    entries,
  };
}

/** How many names a path has: 1 for a file in the folder itself. */
export function depthOf(path: string): number {
  return path.split("/").length;
}
