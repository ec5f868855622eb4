import { LANGUAGES, type Language } from "../../data/scene-grammar.ts";
import { Segments } from "../parts/segments.tsx";
import { NumberField } from "./settings-fields.tsx";
import type { ScenesRequest } from "./service.ts";

const LANGUAGE_NAMES: Readonly<Record<Language, string>> = { en: "English", es: "Spanish", de: "German" };
const MOST_SCENES = 100_000;

/** Which scenes: how many, and what is said of them. */
export function ScenesFields({ value, onChange }: { readonly value: ScenesRequest; readonly onChange: (value: ScenesRequest) => void }) {
  const toggle = (language: Language, on: boolean): void => {
    const languages = LANGUAGES.filter((other) => (other === language ? on : value.languages.includes(other)));
    if (languages.length > 0) onChange({ ...value, languages });
  };
  return (
    <>
      <p class="quiet train-about">Simple pictures of coloured shapes, drawn as they are needed, with captions that state what is in them. There is no end of them, so you see at once whether it learns.</p>
      <div class="train-fields">
        <NumberField label="Scenes" value={value.train} usual={value.train} least={1} most={MOST_SCENES} onChange={(train) => train !== undefined && onChange({ ...value, train })} />
        <Segments label="It learns to write" value={value.text} onChoose={(text) => onChange({ ...value, text })} options={[{ value: "caption", title: "A sentence" }, { value: "story", title: "A story" }]} />
        <fieldset class="train-checks">
          <legend>Languages</legend>
          <div class="row">
            {LANGUAGES.map((language) => (
              <label key={language}><input type="checkbox" checked={value.languages.includes(language)} onChange={({ currentTarget }) => {
                toggle(language, currentTarget.checked);
                if (value.languages.length === 1 && value.languages[0] === language) currentTarget.checked = true; // one must remain
              }} />{LANGUAGE_NAMES[language]}</label>
            ))}
          </div>
        </fieldset>
      </div>
    </>
  );
}
