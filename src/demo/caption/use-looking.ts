import { useEffect, useState } from "preact/hooks";
import type { SeenWord } from "../../web/service.ts";

const WORD_TIME = 550; // ms that each word's map is shown for while they are played

export interface Looking {
  /** The word whose map is shown; null for the picture alone. */
  readonly at: number | null;
  /** The word whose map stays. */
  readonly pinned: number | null;
  readonly playing: boolean;
  /** While a word is pointed at or has the focus; null when that is over. */
  point(word: number | null): void;
  /** Lets a word's map stay, or lets it go again. */
  pin(word: number): void;
  play(): void;
  stop(): void;
}

/** Which word's map lies over the picture; with new words, none. */
export function useLooking(words: readonly SeenWord[] | null): Looking {
  const count = words?.length ?? 0;
  const [pointed, setPointed] = useState<number | null>(null);
  const [pinned, setPinned] = useState<number | null>(null);
  const [playing, setPlaying] = useState(false);

  const stop = (): void => {
    setPlaying(false);
    setPinned(null);
  };
  useEffect(() => {
    stop();
    setPointed(null);
  }, [words]);
  useEffect(() => {
    if (!playing || pinned === null) return;
    const timer = setTimeout(() => (pinned + 1 < count ? setPinned(pinned + 1) : stop()), WORD_TIME);
    return () => clearTimeout(timer);
  }, [playing, pinned, count]);

  const at = pointed ?? pinned;
  return {
    at: at !== null && at < count ? at : null,
    pinned,
    playing,
    point: setPointed,
    pin(word) {
      setPlaying(false);
      setPinned(pinned === word && !playing ? null : word);
    },
    play() {
      setPlaying(true);
      setPinned(0);
    },
    stop,
  };
}
