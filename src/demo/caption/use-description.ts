import { useEffect, useState } from "preact/hooks";
import { callback } from "../../web/remote.ts";
import type { DescribeRequest, Description } from "../../web/service.ts";
import { messageOf } from "../message.ts";
import type { ShownPicture } from "./picture.ts";
import type { CaptionerState, OpenCaptioner } from "./use-captioner.ts";

/** What is said of the picture so far. */
export type Telling =
  | { readonly state: "waiting" }
  | { readonly state: "telling"; readonly text: string }
  | { readonly state: "told"; readonly text: string; readonly description: Description; readonly picture: ShownPicture }
  | { readonly state: "failed"; readonly message: string };

const WAITING: Telling = { state: "waiting" };
const BEGINNING: Telling = { state: "telling", text: "" };

/**
 * Describes the picture whenever it, the captioner or what is asked for changes. The newest alone counts: those before it are taken back.
 * @returns What is said, and a way to try again.
 */
export function useDescription({ service, opened, opening }: CaptionerState, picture: ShownPicture | null, request: DescribeRequest | null): readonly [telling: Telling, again: () => void] {
  const [last, setLast] = useState<{ readonly by: OpenCaptioner | null; readonly telling: Telling }>({ by: null, telling: WAITING });
  const [tries, setTries] = useState(0);
  const ready = opened !== null && opening === null;

  useEffect(() => {
    if (!ready || picture === null || request === null) return;
    const replaced = new AbortController();
    let text = "";
    const tell = (next: Telling): void => {
      if (!replaced.signal.aborted) setLast({ by: opened, telling: next });
    };
    const onText = callback((piece: string) => tell({ state: "telling", text: (text += piece) }));
    tell(BEGINNING);
    service.describe(picture.blob, { ...request, name: picture.name }, onText, replaced.signal).then(
      (description) => tell({ state: "told", text: description.captions[0].text, description, picture }),
      (error: unknown) => tell({ state: "failed", message: messageOf(error) }),
    );
    return () => replaced.abort();
  }, [ready, opened, picture, request, tries]);

  const telling = last.by === opened ? last.telling : picture === null ? WAITING : BEGINNING; // never what another captioner said
  return [telling, () => setTries(tries + 1)];
}
