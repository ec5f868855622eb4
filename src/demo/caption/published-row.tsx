import { useState } from "preact/hooks";
import { byteSize } from "../../core/format.ts";
import type { PublishedEntry } from "../../web/service.ts";

interface PublishedRowProps {
  readonly entry: PublishedEntry;
  readonly inUse: boolean;
  readonly onOpen: () => void;
  readonly onRemove: () => void;
}

export function PublishedRow({ entry, inUse, onOpen, onRemove }: PublishedRowProps) {
  const { name, about, licence, stored, complete } = entry;
  const [asking, setAsking] = useState(false);
  return (
    <li>
      <div>
        <h3>{name}</h3>
        <p class="small">{about}. <span class="quiet">Licence: {licence}.</span></p>
        <p class="small numbers quiet">{storedOf(entry)}</p>
      </div>
      {asking
        ? (
          <div class="row" role="group" aria-label={`Delete ${name}?`}>
            <span class="small">Delete {byteSize(stored)} from this device?</span>
            <button type="button" onClick={() => (setAsking(false), onRemove())}>Delete</button>
            <button type="button" onClick={() => setAsking(false)}>Keep</button>
          </div>
        )
        : (
          <div class="row">
            <button type="button" class="primary" disabled={inUse} onClick={onOpen} aria-label={`${actionOf(entry, inUse)}: ${name}`}>{actionOf(entry, inUse)}</button>
            {stored > 0 && <button type="button" onClick={() => setAsking(true)} aria-label={`Delete ${name}`}>{complete ? "Delete" : "Delete the part"}</button>}
          </div>
        )}
    </li>
  );
}

function storedOf({ size, stored, complete }: PublishedEntry): string {
  if (complete) return `${byteSize(stored)}, on this device`;
  if (size === undefined) return stored === 0 ? "The server tells its size; nothing of it is on this device yet" : `${byteSize(stored)} of it on this device`;
  return stored === 0 ? `${byteSize(size)}; nothing of it is on this device yet` : `${byteSize(stored)} of ${byteSize(size)} on this device`;
}

function actionOf({ stored, complete }: PublishedEntry, inUse: boolean): string {
  if (inUse) return "In use";
  return complete ? "Open" : stored > 0 ? "Go on downloading" : "Download";
}
