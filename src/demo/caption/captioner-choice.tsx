import { useRef } from "preact/hooks";
import { thousands } from "../../core/format.ts";
import { Segments } from "../parts/segments.tsx";
import { FileButton } from "./file-button.tsx";
import { CHECKPOINTS } from "./checkpoint-files.ts";
import type { CaptionerState, Choice } from "./use-captioner.ts";

interface CaptionerChoiceProps {
  readonly captioner: CaptionerState;
  /** Those that come with the page. */
  readonly choices: readonly Choice[];
  /** Shows the published models; undefined where none are offered. */
  readonly onPublished: (() => void) | undefined;
  readonly onFiles: (files: readonly File[]) => void;
}

/** Which captioner describes: one of the page's, a published one, or a checkpoint from this device. */
export function CaptionerChoice({ captioner, choices, onPublished, onFiles }: CaptionerChoiceProps) {
  const { opened, opening } = captioner;
  const chosen = opening?.choice ?? opened?.choice ?? null;
  const brought = useRef<Choice | null>(null); // the last one from elsewhere that opened: there is a way back to it
  if (opened !== null && !choices.includes(opened.choice)) brought.current = opened.choice;
  const other = chosen === null || choices.includes(chosen) ? brought.current : chosen;
  const all = other === null ? choices : [...choices, other];
  return (
    <section class="captioner" aria-label="Captioner">
      {all.length < 2
        ? <h2>{chosen?.title}</h2>
        : (
          <Segments
            label="Captioner" options={all.map(({ title }, place) => ({ value: `${place}`, title }))} value={`${chosen === null ? "" : all.indexOf(chosen)}`}
            onChoose={(place) => captioner.open(all[Number(place)])}
          />
        )}
      <p class="about small">{chosen?.about} <Facts captioner={captioner} /></p>
      <div class="row others">
        {onPublished && <button type="button" class="plain" onClick={onPublished}>Published models…</button>}
        <FileButton label="Open a checkpoint…" accept={`${CHECKPOINTS.join()},.json,.txt`} plain multiple onFiles={onFiles} />
      </div>
    </section>
  );
}

function Facts({ captioner: { opened, opening } }: { readonly captioner: CaptionerState }) {
  if (opened === null || opening !== null) return null;
  const { choice: { card }, facts } = opened;
  return (
    <span class="quiet">
      {thousands(facts.parameters)} weights, a vocabulary of {thousands(facts.vocabulary)}. {card !== null && <a href={card} target="_blank" rel="noopener">Model card</a>}
    </span>
  );
}
