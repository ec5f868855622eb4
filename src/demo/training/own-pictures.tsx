import { useEffect, useRef, useState } from "preact/hooks";
import { counted } from "../../core/format.ts";
import { TEXT_NAME } from "../../data/caption-formats.ts";
import type { Remote } from "../../web/remote.ts";
import { FileButton } from "../caption/file-button.tsx";
import { messageOf } from "../message.ts";
import { Notice } from "../parts/notice.tsx";
import { CaptionGrid } from "./caption-grid.tsx";
import { draftFiles } from "./draft.ts";
import { FolderButton } from "./folder-button.tsx";
import { droppedFolder, type GivenFolder } from "./given-files.ts";
import type { PicturesReport, PicturesRequest, TrainingService } from "./service.ts";
import { useDraft } from "./use-draft.ts";

/** Own pictures that can be trained on. */
export interface OwnChoice {
  readonly request: PicturesRequest;
  readonly pictures: number;
}

/** What a folder holds, or why it cannot be used. */
type Checked = { readonly name: string } & ({ readonly report: PicturesReport } | { readonly error: string } | { readonly reading: true });

const FINDINGS_SHOWN = 12;

/** Somebody's own pictures: a folder with captions, or pictures whose captions are written here. */
export function OwnPictures({ service, onChange }: { readonly service: Remote<TrainingService>; readonly onChange: (choice: OwnChoice | null) => void }) {
  const draft = useDraft();
  const [checked, setChecked] = useState<Checked | null>(null);
  const [isOver, setIsOver] = useState(false);
  const asked = useRef(0);

  /** A folder with captions is read; pictures alone go to the grid. */
  const take = async ({ name, files }: GivenFolder): Promise<void> => {
    const mine = ++asked.current;
    if (!files.some(({ path }) => TEXT_NAME.test(path))) {
      setChecked(null);
      return draft.add(files);
    }
    setChecked({ name, reading: true });
    onChange(null);
    try {
      const report = await service.check(name, files);
      if (mine !== asked.current) return;
      setChecked({ name, report });
      onChange({ request: { kind: "pictures", name, files }, pictures: report.pictures });
    } catch (error) {
      if (mine === asked.current) setChecked({ name, error: messageOf(error) });
    }
  };
  const taken = (given: Promise<GivenFolder>): void => {
    given.then(take).catch((error: unknown) => setChecked({ name: "", error: messageOf(error) }));
  };

  useEffect(() => {
    if (checked !== null) return;
    const files = draftFiles(draft.pictures);
    const pictures = files.length - 1;
    onChange(pictures === 0 ? null : { request: { kind: "pictures", name: "My pictures", files }, pictures });
  }, [draft.pictures, checked]);

  return (
    <div
      class={`train-drop ${isOver ? "over" : ""}`}
      onDragOver={(event) => (event.preventDefault(), event.stopPropagation(), setIsOver(true))}
      onDragLeave={() => setIsOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        event.stopPropagation();
        setIsOver(false);
        taken(droppedFolder(event.dataTransfer!));
      }}
    >
      <p class="quiet train-about">A folder of JPEG and PNG pictures with captions.txt or another usual file of captions, or pictures alone, to which you write the captions here. Drop either, or choose. They stay on this device.</p>
      <div class="row">
        <FolderButton label="Choose a folder" onFolder={(folder) => taken(Promise.resolve(folder))} />
        <FileButton label="Add pictures" accept="image/*" multiple onFiles={(files) => taken(Promise.resolve({ name: "My pictures", files: files.map((content) => ({ path: content.name, content })) }))} />
      </div>
      {draft.error !== null && <Notice kind="error">{draft.error}</Notice>}
      {checked === null ? <CaptionGrid draft={draft} /> : <FolderReport checked={checked} onLeave={() => setChecked(null)} written={draft.pictures.length} />}
    </div>
  );
}

function FolderReport({ checked, written, onLeave }: { readonly checked: Checked; readonly written: number; readonly onLeave: () => void }) {
  const leave = <button type="button" class="plain" onClick={onLeave}>{written > 0 ? `Back to my ${counted(written, "picture")}` : "Use no folder"}</button>;
  if ("reading" in checked) return <p class="quiet" role="status">Reading {checked.name}…</p>;
  if ("error" in checked) return <><Notice kind="error">{checked.error}</Notice>{leave}</>;
  const { pictures, captions, source, findings } = checked.report;
  return (
    <div class="train-report" role="status">
      <p><strong>{checked.name}</strong>: {counted(pictures, "picture")} with {counted(captions, "caption")} from {source}.{findings.length === 0 && " Nothing to mend."}</p>
      {findings.length > 0 && <ul class="small">{findings.slice(0, FINDINGS_SHOWN).map((line) => <li key={line}>{line}</li>)}</ul>}
      {leave}
    </div>
  );
}
