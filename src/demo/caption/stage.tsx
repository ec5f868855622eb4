import { useMemo } from "preact/hooks";
import { stretchAttention } from "../../data/attention-overlay.ts";
import type { SeenWord } from "../../web/service.ts";
import { Notice } from "../parts/notice.tsx";
import type { ShownPicture } from "./picture.ts";

const MASK_SIDE = 96; // pixels: browsers stretch small masks in steps that can be seen

interface StageProps {
  readonly picture: ShownPicture | null;
  /** What lies over it: where the captioner looked before this word. */
  readonly word: SeenWord | null;
  /** Whether a file is held over the page. */
  readonly over: boolean;
  readonly busy: boolean;
  /** What stands there before the first picture. */
  readonly invitation: string;
  /** Why the last picture could not be taken. */
  readonly problem: string | null;
  /** The problem was read. */
  readonly onRead: () => void;
}

/** The picture's place: a square, so that nothing moves when another comes. */
export function Stage({ picture, word, over, busy, invitation, problem, onRead }: StageProps) {
  return (
    <figure class={`stage ${over ? "over" : ""}`} aria-busy={busy}>
      {picture === null ? <p class="quiet">{invitation}</p> : <Picture picture={picture} word={word} />}
      {problem !== null && <Notice kind="error" onClose={onRead}>{problem}</Notice>}
      {over && <p class="drop-here">Let go to see what it shows</p>}
    </figure>
  );
}

/**
 * The picture, and over it the same once more through the map as a mask. Under a map the lower one is dark and grey: as
 * `overlayAttention` draws it, but by the browser, which takes no time of the page.
 */
function Picture({ picture: { url, name, width, height, scene }, word }: { readonly picture: ShownPicture; readonly word: SeenWord | null }) {
  const mask = useMemo(() => (word === null ? undefined : `url(${maskOf(word)})`), [word]);
  const shape = { aspectRatio: `${width} / ${height}`, [width >= height ? "width" : "height"]: "100%" };
  return (
    <div class="picture" style={shape}>
      <img class={word === null ? "" : "unlooked"} src={url} alt={scene ? "A drawn scene" : `Your picture: ${name}`} decoding="async" />
      <img class="looked" style={{ maskImage: mask, opacity: word === null ? "0" : "1" }} src={url} alt="" decoding="async" />
    </div>
  );
}

/** A map as a picture that is opaque where its weight is greatest. */
function maskOf({ map }: SeenWord): string {
  const image = new ImageData(MASK_SIDE, MASK_SIDE);
  stretchAttention(map, MASK_SIDE, MASK_SIDE).forEach((weight, place) => (image.data[4 * place + 3] = Math.round(255 * weight)));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [MASK_SIDE, MASK_SIDE];
  canvas.getContext("2d")!.putImageData(image, 0, 0);
  return canvas.toDataURL();
}
