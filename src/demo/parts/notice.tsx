import type { ComponentChildren } from "preact";

/** A line that matters: what went wrong and what to do, or what to know. Screen readers say errors at once. */
export function Notice({ kind, onClose, children }: { readonly kind: "error" | "info"; /** Where it lies over something: puts it away. */ readonly onClose?: () => void; readonly children: ComponentChildren }) {
  return <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>{children}{onClose && <button type="button" class="plain small" onClick={onClose}>Close</button>}</div>;
}
