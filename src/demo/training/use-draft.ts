import { useEffect, useRef, useState } from "preact/hooks";
import type { ListedFile } from "../../data/file-list.ts";
import { messageOf } from "../message.ts";
import { addPictures, loadDraft, removePicture, saveCaptions, type DraftPicture } from "./draft.ts";

const SAVE_AFTER = 600; // ms without a key

export interface DraftState {
  readonly pictures: readonly DraftPicture[];
  readonly error: string | null;
  add(files: readonly ListedFile[]): Promise<void>;
  write(id: string, captions: string): void;
  remove(id: string): void;
}

/** Pictures whose captions are written here; kept on this device as they are written. */
export function useDraft(): DraftState {
  const [pictures, setPictures] = useState<readonly DraftPicture[]>([]);
  const [error, setError] = useState<string | null>(null);
  const latest = useRef<readonly DraftPicture[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const show = (now: readonly DraftPicture[]): void => {
    latest.current = now;
    setPictures(now);
  };
  const say = (reason: unknown): void => setError(messageOf(reason));
  useEffect(() => void loadDraft().then(show, say), []);
  return {
    pictures,
    error,
    async add(files) {
      const added = await addPictures(latest.current, files);
      show(added.pictures);
      setError(added.unread.length === 0 ? null : `${added.unread.join(", ")}: this browser cannot read ${added.unread.length === 1 ? "it as a picture" : "them as pictures"}; convert to JPEG or PNG.`);
    },
    write(id, captions) {
      show(latest.current.map((picture) => (picture.id === id ? { ...picture, captions } : picture)));
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void saveCaptions(latest.current).then(() => setError(null), say), SAVE_AFTER);
    },
    remove(id) {
      void removePicture(latest.current, id).then(show, say);
    },
  };
}
