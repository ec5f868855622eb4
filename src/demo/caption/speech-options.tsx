import type { CaptionerFacts } from "../../web/service.ts";
import { RangeField } from "../parts/range-field.tsx";
import { Segments } from "../parts/segments.tsx";
import type { SpeechSettings } from "./speech.ts";

const WAYS = [
  { value: "own", title: "Its own way" },
  { value: "beam", title: "Beam search" },
  { value: "chance", title: "By chance" },
] as const;

const LENGTHS = [
  { value: "sentence", title: "A sentence" },
  { value: "story", title: "A story" },
] as const;

const ABOUT: Readonly<Record<SpeechSettings["way"], string>> = {
  own: "As the captioner was made to: as a rule, the likeliest word each time.",
  beam: "Follows several texts at a time and keeps the likeliest.",
  chance: "Draws each word; the hotter, the bolder.",
};

interface SpeechOptionsProps {
  readonly settings: SpeechSettings;
  readonly facts: CaptionerFacts | null;
  readonly onChange: (change: Partial<SpeechSettings>) => void;
}

/** How the text is made, for those who want to know. */
export function SpeechOptions({ settings: { way, beam, candidates, temperature, seed, story, language }, facts, onChange }: SpeechOptionsProps) {
  const languages = facts?.languages ?? [];
  return (
    <details class="options">
      <summary>How it speaks</summary>
      <div class="fields">
        {facts?.tellsStories && <Segments label="Length" options={LENGTHS} value={story ? "story" : "sentence"} onChoose={(value) => onChange({ story: value === "story" })} />}
        <Segments label="Choice of words" options={WAYS} value={way} onChoose={(value) => onChange({ way: value })} />
        <p class="quiet small">{ABOUT[way]}</p>
        {way === "beam" && <RangeField label="Beam width" value={beam} least={1} most={8} onChoose={(value) => onChange({ beam: value })} />}
        {way === "chance" && <RangeField label="Temperature" value={temperature} least={0.1} most={2} step={0.1} onChoose={(value) => onChange({ temperature: value })} />}
        {way !== "own" && <RangeField label="Texts shown" value={way === "beam" ? Math.min(candidates, beam) : candidates} least={1} most={way === "beam" ? beam : 8} onChoose={(value) => onChange({ candidates: value })} />}
        {way === "chance" && <button type="button" onClick={() => onChange({ seed: seed + 1 })}>Draw again</button>}
        {languages.length > 1 && (
          <label class="field">
            Language
            <select value={language ?? languages[0]} onChange={({ currentTarget }) => onChange({ language: currentTarget.value })}>
              {languages.map((tag) => <option key={tag} value={tag}>{languageOf(tag)}</option>)}
            </select>
          </label>
        )}
      </div>
    </details>
  );
}

function languageOf(tag: string): string {
  const code = tag.replace(/[<>]/g, "");
  return new Intl.DisplayNames("en", { type: "language" }).of(code) ?? code;
}
