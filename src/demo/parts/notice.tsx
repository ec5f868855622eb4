import type { ComponentChildren } from "preact";

/** A line that matters: what went wrong and what to do, or what to know. Screen readers say errors at once. */
export function Notice({ kind, children }: { readonly kind: "error" | "info"; readonly children: ComponentChildren }) {
  return <div class={`notice ${kind}`} role={kind === "error" ? "alert" : "status"}>{children}</div>;
}
