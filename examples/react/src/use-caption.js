import { useEffect, useState } from "react";
import { describe } from "sightline/web";

/** What a picture shows: `{ status: "looking" }`, then `{ status: "done", text }` or `{ status: "failed", text }`. */
export function useCaption(src, model) {
  const [caption, setCaption] = useState({ status: "looking" });
  useEffect(() => {
    const ending = new AbortController(); // another picture may come while this one is looked at
    const show = (status, text) => ending.signal.aborted || setCaption({ status, text });
    show("looking");
    describe(src, { model, signal: ending.signal }).then(
      (text) => show("done", text),
      (error) => show("failed", error.message),
    );
    return () => ending.abort();
  }, [src, model]);
  return caption;
}
