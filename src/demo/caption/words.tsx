import { useRef } from "preact/hooks";
import type { SeenWord } from "../../web/service.ts";
import type { Looking } from "./use-looking.ts";

const STEPS: Readonly<Record<string, number>> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

/** A text whose words are buttons: each shows where the captioner looked before it. Arrow keys go from word to word. */
export function Words({ words, looking }: { readonly words: readonly SeenWord[]; readonly looking: Looking }) {
  const line = useRef<HTMLParagraphElement>(null);
  const step = (event: KeyboardEvent, word: number): void => {
    const by = STEPS[event.key];
    if (by === undefined) return;
    event.preventDefault(); // the page stays where it is
    const next = Math.min(Math.max(word + by, 0), words.length - 1);
    line.current?.querySelectorAll("button")[next].focus();
  };
  return (
    <p class="said words" ref={line} role="group" aria-label="The text, word by word">
      {words.map(({ text }, word) => [
        word > 0 && " ", // for whoever selects and copies
        <button
          key={word} type="button" class={looking.at === word ? "at" : ""} aria-pressed={looking.pinned === word} tabIndex={word === (looking.at ?? 0) ? 0 : -1}
          onPointerEnter={({ pointerType }) => pointerType === "mouse" && looking.point(word)} onPointerLeave={() => looking.point(null)}
          onFocus={({ currentTarget }) => currentTarget.matches(":focus-visible") && looking.point(word)} onBlur={() => looking.point(null)}
          onClick={() => looking.pin(word)} onKeyDown={(event) => step(event, word)}
        >
          {text}
        </button>,
      ])}
    </p>
  );
}
