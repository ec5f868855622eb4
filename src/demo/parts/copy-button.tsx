import "../style/parts.css";
import { useEffect, useState } from "preact/hooks";

const SHOWN_FOR = 2000; // ms

/** Copies a text, and says so. */
export function CopyButton({ label, text }: { readonly label: string; readonly text: string }) {
  const [said, setSaid] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setSaid(null), SHOWN_FOR);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = (): void => {
    navigator.clipboard.writeText(text).then(() => setSaid("Copied"), () => setSaid("Not allowed"));
  };
  return (
    <button type="button" class="plain small copy" disabled={text === ""} onClick={copy} aria-live="polite">
      <span class={said === null ? "" : "unseen"}>{label}</span>
      {said !== null && <span class="copied">{said}</span>}
    </button>
  );
}
