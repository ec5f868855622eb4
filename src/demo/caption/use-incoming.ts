import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/**
 * Files that are dropped on the window or pasted, while the element is on view.
 * @param onNothing Called where something without a file was dropped.
 * @returns Whether something is held over the window right now.
 */
export function useIncoming(element: RefObject<HTMLElement | null>, onFiles: (files: readonly File[]) => void, onNothing: () => void): boolean {
  const [over, setOver] = useState(false);
  const latest = useRef({ onFiles, onNothing });
  latest.current = { onFiles, onNothing };
  useEffect(() => {
    const listening = new AbortController();
    const listen = <T extends Event>(type: string, act: (event: T) => void): void =>
      addEventListener(type, (event) => element.current?.checkVisibility() === true && act(event as T), { signal: listening.signal });
    listen<DragEvent>("dragover", (event) => {
      event.preventDefault(); // else the browser opens the file in place of the page
      setOver(true);
    });
    listen<DragEvent>("dragleave", ({ relatedTarget }) => relatedTarget === null && setOver(false));
    listen<DragEvent>("drop", (event) => {
      event.preventDefault();
      setOver(false);
      const files = [...(event.dataTransfer?.files ?? [])];
      if (files.length === 0) latest.current.onNothing();
      else latest.current.onFiles(files);
    });
    listen<ClipboardEvent>("paste", ({ clipboardData }) => {
      const files = [...(clipboardData?.files ?? [])];
      if (files.length > 0) latest.current.onFiles(files); // a pasted text is none of ours
    });
    return () => listening.abort();
  }, []);
  return over;
}
