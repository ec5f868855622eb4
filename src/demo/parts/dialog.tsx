import "../style/parts.css";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

interface DialogProps {
  readonly title: string;
  readonly open: boolean;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A window over the page, which rests behind it. Escape and a click beside it close it; the focus goes back to where it was. */
export function Dialog({ title, open, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby={heading} onClose={onClose} onClick={({ target }) => target === dialog.current && onClose()}>
      {open && (
        <div class="dialog-inside">
          <div class="dialog-top">
            <h2 id={heading}>{title}</h2>
            <button type="button" class="plain" onClick={onClose}>Close</button>
          </div>
          {children}
        </div>
      )}
    </dialog>
  );
}
