import { useEffect, useRef, useState } from "preact/hooks";
import type { ListedFile } from "../../data/file-list.ts";
import { messageOf } from "../message.ts";
import { forgetPicture, keepPicture, loadDraft, saveCaptions, takeDraft, type DraftPicture } from "./draft.ts";

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
  const saved = useRef<Promise<unknown>>(Promise.resolve());
  const isMine = useRef(false);
  const save = (): Promise<void> => {
    clearTimeout(timer.current);
    const done = saved.current.then(() => (isMine.current ? saveCaptions(latest.current) : undefined)); // one after the other: the newest list is written last
    saved.current = done.catch(() => undefined);
    return done;
  };
  const begin = async (): Promise<void> => {
    isMine.current = await takeDraft();
    if (!isMine.current) setError("These pictures are open in another tab of this page: what is changed here is not kept.");
    const kept = await loadDraft();
    show([...kept, ...latest.current]);
  };
  useEffect(() => void (saved.current = begin().catch(say)), []);
  return {
    pictures,
    error,
    async add(files) {
      const unread: string[] = [];
      setError(null);
      try {
        for (const file of files) {
          const picture = await keepPicture(() => latest.current, file);
          if (picture === null) unread.push(file.path);
          else show([...latest.current, picture]); // captions may have been written meanwhile
        }
        if (unread.length > 0) setError(`${unread.join(", ")}: this browser cannot read ${unread.length === 1 ? "it as a picture" : "them as pictures"}; convert to JPEG or PNG.`);
      } catch (reason) {
        say(reason);
      }
      await save().catch(say);
    },
    write(id, captions) {
      show(latest.current.map((picture) => (picture.id === id ? { ...picture, captions } : picture)));
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void save().catch(say), SAVE_AFTER);
    },
    remove(id) {
      show(latest.current.filter((picture) => picture.id !== id));
      void save().then(() => (isMine.current ? forgetPicture(id) : undefined)).catch(say);
    },
  };
}
