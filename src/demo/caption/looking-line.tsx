import type { Looking } from "./use-looking.ts";

/** What the words are good for: to see where the captioner looked. One line, always there. */
export function LookingLine({ ready, looking, looks }: { readonly ready: boolean; readonly looking: Looking; readonly looks: boolean | undefined }) {
  if (looks === false) return <p class="looking quiet small">This captioner takes in the whole picture at once: there is no place that a word came from.</p>;
  return (
    <p class="looking quiet small">
      <button type="button" disabled={!ready} onClick={looking.playing ? looking.stop : looking.play}>{looking.playing ? "Stop" : "Play"}</button>
      <span>Choose a word to see where the captioner looked before it said so. Bright is where it looked.</span>
    </p>
  );
}
