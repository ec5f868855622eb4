import { useEffect, useRef, useState } from "preact/hooks";
import { remote } from "../../web/remote.ts";
import { messageOf } from "../message.ts";
import { startWorker } from "../start-worker.ts";
import { openPicture, type ShownPicture } from "./picture.ts";
import type { sceneService } from "./scene-worker.ts";

const FIRST_SCENE = 6; // three objects, so that there is something to say

const SCENES = 100_000; // to draw from

export interface PictureState {
  readonly picture: ShownPicture | null;
  /** Why the last one could not be shown; the one before stays. */
  readonly error: string | null;
  show(blob: Blob, name: string): void;
  drawScene(): void;
  /** Says why something is no picture. */
  refuse(reason: string): void;
  /** The error was read. */
  dismiss(): void;
}

/** The picture on the page. @param sceneFirst Whether a scene is there from the start. */
export function usePicture(sceneFirst: boolean): PictureState {
  const [picture, setPicture] = useState<ShownPicture | null>(null);
  const [error, setError] = useState<string | null>(null);
  const turn = useRef(0);
  const drawing = useRef<ReturnType<typeof remote<typeof sceneService>> | null>(null);

  const take = (opened: Promise<ShownPicture>): void => {
    const mine = ++turn.current;
    opened.then(
      (next) => {
        if (mine !== turn.current) return URL.revokeObjectURL(next.url);
        setError(null);
        setPicture(next);
      },
      (reason: unknown) => mine === turn.current && setError(messageOf(reason)),
    );
  };

  const drawScene = (index: number): void => {
    drawing.current ??= remote<typeof sceneService>(startWorker("scene-worker.js"));
    take(drawing.current.draw(index).then((scene) => openPicture(scene, `scene-${index}.png`, true)));
  };

  useEffect(() => {
    if (sceneFirst) drawScene(FIRST_SCENE);
  }, []);
  useEffect(() => () => {
    if (picture !== null) URL.revokeObjectURL(picture.url);
  }, [picture]);

  return {
    picture,
    error,
    show: (blob, name) => take(openPicture(blob, name)),
    drawScene: () => drawScene(Math.floor(Math.random() * SCENES)),
    refuse: setError,
    dismiss: () => setError(null),
  };
}
