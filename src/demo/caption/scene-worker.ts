/** Draws scenes beside the page's own thread, which a large one would hold up. */

import { drawScene } from "../../data/scene-drawing.ts";
import { sceneAt } from "../../data/scenes.ts";
import { offer } from "../../web/remote.ts";

const SIDE = 448; // pixels: as large as the page shows it
const SEED = 20;

export const sceneService = {
  /** A scene that no captioner was trained on, as a PNG. @param index From 0; each has another. */
  async draw(index: number): Promise<Blob> {
    const colours = drawScene(sceneAt(SEED, "test", index), SIDE);
    const image = new ImageData(SIDE, SIDE);
    for (let pixel = 0; pixel < SIDE ** 2; pixel++) {
      image.data.set(colours.subarray(3 * pixel, 3 * pixel + 3), 4 * pixel);
      image.data[4 * pixel + 3] = 255;
    }
    const canvas = new OffscreenCanvas(SIDE, SIDE);
    canvas.getContext("2d")!.putImageData(image, 0, 0);
    return canvas.convertToBlob();
  },
};

offer(sceneService);
