import { byteSize } from "../../core/format.ts";
import { CopyButton } from "../parts/copy-button.tsx";
import { Notice } from "../parts/notice.tsx";
import { ProgressBar } from "../parts/progress-bar.tsx";
import { imageElement, paceOf } from "./speech.ts";
import type { CaptionerState } from "./use-captioner.ts";
import type { Telling } from "./use-description.ts";
import type { Looking } from "./use-looking.ts";
import { Words } from "./words.tsx";

interface SpokenProps {
  readonly captioner: CaptionerState;
  readonly telling: Telling;
  /** Tries once more to describe the picture. */
  readonly again: () => void;
  readonly looking: Looking;
}

/** The text's place, of one size whatever is in it: a captioner that comes, words as they come, the text, or why there is none. */
export function Spoken({ captioner, telling, again, looking }: SpokenProps) {
  const told = telling.state === "told" && captioner.opening === null ? telling : null;
  return (
    <section class="spoken" aria-label="What the picture shows">
      <div class="text" tabIndex={0} role="group" aria-label="Text">
        {captioner.error !== null && <Notice kind="error" onClose={captioner.opened === null ? undefined : captioner.dismiss}>{captioner.error}</Notice>}
        {captioner.opening !== null ? <Opening {...captioner} opening={captioner.opening} /> : <Told telling={telling} again={again} looking={looking} />}
      </div>
      <div class="row under-text">
        <span class="quiet small numbers">{told !== null && paceOf(told.text, told.description.milliseconds)}</span>
        <span class="row copies">
          <CopyButton label="Copy text" text={told?.text ?? ""} />
          <CopyButton label="Copy as HTML" text={told === null ? "" : imageElement(told.picture.name, told.text)} />
        </span>
      </div>
      <p class="for-readers" role="status">{told?.text}</p>
    </section>
  );
}

function Told({ telling, again, looking }: Omit<SpokenProps, "captioner">) {
  switch (telling.state) {
    case "waiting":
      return <p class="quiet">The text appears here.</p>;
    case "telling":
      return <p class="saying" aria-hidden="true">{telling.text}<span class="caret" /></p>;
    case "failed":
      return <><Notice kind="error">{telling.message}</Notice><button type="button" onClick={again}>Try again</button></>;
    case "told": {
      const { words } = telling.description;
      return words === null ? <p class="said">{telling.text}</p> : <Words words={words} looking={looking} />;
    }
    default:
      return telling satisfies never;
  }
}

function Opening({ opening: { choice, progress }, cancel }: Pick<CaptionerState, "cancel"> & { readonly opening: NonNullable<CaptionerState["opening"]> }) {
  const share = progress?.total === undefined ? undefined : progress.received / progress.total;
  const detail = progress === null ? "" : progress.total === undefined ? byteSize(progress.received) : `${byteSize(progress.received)} of ${byteSize(progress.total)}`;
  return (
    <div class="opening">
      <ProgressBar label={progress === null ? `Opening ${choice.title}` : progress.file} share={share} detail={detail} />
      {choice.source.kind === "published" && (
        <div class="row">
          <button type="button" onClick={cancel}>Cancel</button>
          <span class="quiet small">What has arrived is kept.</span>
        </div>
      )}
    </div>
  );
}
