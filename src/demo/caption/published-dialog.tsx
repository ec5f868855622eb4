import { useEffect, useState } from "preact/hooks";
import type { PublishedEntry } from "../../web/service.ts";
import { byteSize } from "../../core/format.ts";
import { messageOf } from "../message.ts";
import { Dialog } from "../parts/dialog.tsx";
import { Notice } from "../parts/notice.tsx";
import { PublishedRow } from "./published-row.tsx";
import type { CaptionerState } from "./use-captioner.ts";

interface PublishedDialogProps {
  readonly open: boolean;
  readonly onClose: () => void;
  readonly captioner: CaptionerState;
}

/** Published models that caption photographs: what they are, and what of them is on this device. */
export function PublishedDialog({ open, onClose, captioner }: PublishedDialogProps) {
  return <Dialog title="Published models" open={open} onClose={onClose}><PublishedList captioner={captioner} onClose={onClose} /></Dialog>;
}

function PublishedList({ captioner: { service, open, opened }, onClose }: Omit<PublishedDialogProps, "open">) {
  const [entries, setEntries] = useState<readonly PublishedEntry[] | null>(null);
  const [free, setFree] = useState<number | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [name, setName] = useState("");
  const look = async (): Promise<void> => {
    setEntries((await service.published()).filter(({ captions }) => captions));
    const { quota = 0, usage = 0 } = await navigator.storage.estimate();
    setFree(quota - usage);
  };
  const fail = (reason: unknown): void => setError(messageOf(reason));
  useEffect(() => void look().catch(fail), []);

  const remove = (name: string): void => {
    setError(null);
    service.remove(name).then(look).catch(fail);
  };
  const start = (model: string, about: string): void => {
    onClose();
    open({ title: model.split("/").at(-1)!, about, source: { kind: "published", name: model }, card: null, scenes: false });
  };
  const startNamed = (event: SubmitEvent): void => {
    event.preventDefault();
    if (name.trim() !== "") start(name.trim(), `${name.trim()}, from the Hugging Face hub.`);
  };
  const source = opened?.choice.source;
  return (
    <>
      <p class="quiet">These know photographs. A model is fetched once, from the server that publishes it, and then kept in this browser's storage for this page. Your pictures stay here all the same.</p>
      {error !== null && <Notice kind="error">{error}</Notice>}
      <ul class="published" aria-busy={entries === null}>
        {entries === null
          ? error === null && <li class="quiet">Looking at what is on this device…</li>
          : entries.map((entry) => <PublishedRow key={entry.name} entry={entry} inUse={source?.kind === "published" && source.name === entry.name} onOpen={() => start(entry.name, `${entry.about}.`)} onRemove={() => remove(entry.name)} />)}
      </ul>
      <form class="hub-name" onSubmit={startNamed}>
        <label class="field">
          Another one of the Hugging Face hub, by its name
          <input type="text" placeholder="organisation/model" autocomplete="off" spellcheck={false} value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
        </label>
        <button type="submit">Open</button>
      </form>
      <p class="quiet small numbers free">{free !== null && `This page may keep ${byteSize(free)} more.`}</p>
    </>
  );
}
