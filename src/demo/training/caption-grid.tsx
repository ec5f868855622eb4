import { useEffect, useState } from "preact/hooks";
import { counted } from "../../core/format.ts";
import { captionsIn, type DraftPicture } from "./draft.ts";
import type { DraftState } from "./use-draft.ts";

/** Thumbnails, each with a place for its captions. */
export function CaptionGrid({ draft }: { readonly draft: DraftState }) {
  const { pictures } = draft;
  if (pictures.length === 0) return <p class="train-empty quiet">No pictures yet.</p>;
  const done = pictures.filter(({ captions }) => captionsIn(captions).length > 0).length;
  return (
    <>
      <p class="small quiet" role="status">{done} of {counted(pictures.length, "picture")} with a caption. Saved as you type; a line for each caption.</p>
      <ul class="train-grid">
        {pictures.map((picture) => (
          <li key={picture.id}>
            <Thumbnail content={picture.content} />
            <textarea rows={2} value={picture.captions} placeholder="What does it show?" aria-label={`Captions of ${picture.name}`} onInput={({ currentTarget }) => draft.write(picture.id, currentTarget.value)} />
            <button type="button" class="plain small" aria-label={`Remove ${picture.name}`} onClick={() => draft.remove(picture.id)}>Remove</button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** A picture from a file, without a copy of it. */
function Thumbnail({ content }: Pick<DraftPicture, "content">) {
  const [address, setAddress] = useState("");
  useEffect(() => {
    const made = URL.createObjectURL(content);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [content]);
  return <img src={address} alt="" loading="lazy" decoding="async" />;
}
