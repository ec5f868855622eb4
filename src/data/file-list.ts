import { InputError } from "../core/errors.ts";
import { Sha256 } from "../core/sha256.ts";
import { isHidden, listingOf, MOST_FILES, type DatasetFolder, type FolderListing } from "./dataset-folder.ts";

/** A file, and where it lies in the folder: a path with forward slashes. */
export interface ListedFile {
  readonly path: string;
  readonly content: Blob;
}

/** Bytes of a file that are hashed at a time. */
const HASHED_BYTES = 1 << 20;

/** Files that a page was given, as a folder: found and read in the same order, and with the same digests, as on a disk. */
export class FileListFolder implements DatasetFolder {
  readonly name: string;
  private readonly files: ReadonlyMap<string, Blob>;

  constructor(name: string, files: readonly ListedFile[]) {
    this.name = name;
    this.files = new Map(files.filter(({ path }) => !path.split("/").some(isHidden)).map(({ path, content }) => [path, content]));
  }

  async list(): Promise<FolderListing> {
    if (this.files.size > MOST_FILES) throw new InputError(`${this.name} must hold at most ${MOST_FILES} files; got ${this.files.size}`, "choose the data set's own folder");
    return listingOf([...this.files.keys()].sort(inFolderOrder), this.files.size);
  }

  pathOf(file: string): string {
    return `${this.name}/${file}`;
  }

  async sizeOf(file: string): Promise<number> {
    return this.contentOf(file).size;
  }

  async read(file: string, begin?: number, end?: number): Promise<Uint8Array> {
    const content = this.contentOf(file);
    const bytes = (begin === undefined ? content : content.slice(begin, end)).arrayBuffer();
    return new Uint8Array(await bytes.catch(this.unreadable(file)));
  }

  async digest(file: string): Promise<string> {
    const { size } = this.contentOf(file);
    const hash = new Sha256();
    for (let begin = 0; begin < size; begin += HASHED_BYTES) hash.update(await this.read(file, begin, Math.min(size, begin + HASHED_BYTES)));
    return hash.digest();
  }

  private contentOf(file: string): Blob {
    const content = this.files.get(file);
    if (content === undefined) throw new InputError(`${this.pathOf(file)} must be a readable file; got nothing of that name`, "choose the folder again");
    return content;
  }

  private unreadable(file: string): (cause: unknown) => never {
    return (cause) => {
      throw new InputError(`${this.pathOf(file)} must be a readable file; got ${cause instanceof Error ? cause.message : String(cause)}`, "it was changed or moved since it was chosen; choose the folder again", { cause });
    };
  }
}

/** The files of a folder come before the folders in it, each sorted by name. */
function inFolderOrder(a: string, b: string): number {
  const [x, y] = [a.split("/"), b.split("/")];
  const depth = x.findIndex((name, i) => name !== y[i]);
  if (depth < 0) return x.length - y.length;
  const [xIsFile, yIsFile] = [depth === x.length - 1, depth === y.length - 1];
  if (xIsFile !== yIsFile) return xIsFile ? -1 : 1;
  return x[depth] < y[depth] ? -1 : 1;
}
