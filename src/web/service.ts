/** What the captioner's worker does for a page. The page calls it through `remote.ts`; data are copied, callbacks stay where they are. */

import type { Caption, DescribeOptions } from "../caption/teller.ts";
import type { SystemName } from "../caption/systems.ts";
import type { AttentionMap } from "../data/attention-overlay.ts";
import type { AdapterSummary } from "../device/adapter.ts";

/** Where a captioner comes from: the address of a checkpoint, of this library or a published one; such a file; or a published model by its name. */
export type CaptionerSource =
  | { readonly kind: "address"; /** Absolute, or relative to the worker's script. */ readonly address: string }
  | { readonly kind: "file"; readonly file: File; /** Files that were chosen with it: what a published model has beside its weights. */ readonly beside?: readonly File[] }
  | { readonly kind: "published"; readonly name: string };

/** Bytes of a download, or of a file that is read. */
export interface LoadProgress {
  /** The file, as people know it. */
  readonly file: string;
  readonly received: number;
  /** Undefined where the server does not say. */
  readonly total: number | undefined;
}

/** What is known of an opened captioner. */
export interface CaptionerFacts {
  readonly system: SystemName;
  readonly parameters: number;
  /** Words or tokens that it knows. */
  readonly vocabulary: number;
  /** Side of the pictures that it sees, in pixels. */
  readonly pictureSize: number;
  /** Tags of the languages that it speaks, such as `<de>`; none where it knows one alone. */
  readonly languages: readonly string[];
  /** Whether it learned stories in several sentences. */
  readonly tellsStories: boolean;
  /** Whether it looks at places of the picture, so that there is an attention map for each word. */
  readonly looks: boolean;
}

/** A picture: bytes of a file in any format that the browser reads, or pixels (RGBA) as canvases have them. */
export type Picture = Blob | ImageData;

export interface DescribeRequest extends Omit<DescribeOptions, "onText"> {
  /** Whether to tell a story in several sentences, as `sightline story` does. */
  readonly story?: boolean;
  /** Whether the result has attention maps, which take the text's time once more. */
  readonly attention?: boolean;
  /** The picture's name in error messages. Default: the file's, or "the picture". */
  readonly name?: string;
}

/** A word of the best text, and where the captioner looked before it said it. */
export interface SeenWord {
  readonly text: string;
  readonly map: AttentionMap;
}

export interface Description {
  /** The best first; as many as were asked for. */
  readonly captions: readonly Caption[];
  /** Of the best text; null where they were not asked for, or the captioner does not look at places. */
  readonly words: readonly SeenWord[] | null;
  /** From the decoded picture to the last word, in milliseconds. */
  readonly milliseconds: number;
}

/** A published model, and what of it is on this device. */
export interface PublishedEntry {
  readonly name: string;
  readonly about: string;
  readonly licence: string;
  /** Bytes of all its files; undefined where only the server knows. */
  readonly size: number | undefined;
  /** Bytes that are stored here. */
  readonly stored: number;
  readonly complete: boolean;
  /** Whether it says what pictures show by itself; others are parts to train with. */
  readonly captions: boolean;
}

/** One device and at most one captioner. What is opened and described is done in the order of the calls. */
export interface CaptionService {
  /** The adapter, opened at the first call. @throws DeviceError where there is none. */
  adapter(): Promise<AdapterSummary>;
  /**
   * Opens a captioner in place of the one before, which stays where this fails.
   * @param signal Ends the download. Of a published model, what has arrived is kept, and the next `open` goes on from there.
   */
  open(source: CaptionerSource, onProgress?: (progress: LoadProgress) => void, signal?: AbortSignal): Promise<CaptionerFacts>;
  /**
   * Says what a picture shows.
   * @param onText Called with each piece of text as it comes, where one text is made without a beam. All calls come before the result.
   * @param signal Takes the request back as long as it waits for those before it.
   */
  describe(picture: Picture, request?: DescribeRequest, onText?: (text: string) => void, signal?: AbortSignal): Promise<Description>;
  /** Published models, by the manifest and what is stored here. */
  published(): Promise<readonly PublishedEntry[]>;
  /** Deletes a published model from this device; also what is unfinished. */
  remove(name: string): Promise<void>;
}
