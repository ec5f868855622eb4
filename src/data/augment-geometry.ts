import type { Image } from "./image.ts";

/** What is done to a picture about its centre: first turned and scaled, then moved. */
export interface Move {
  /** Degrees, counter-clockwise as people see the picture. */
  readonly angle: number;
  readonly scale: number;
  /** To the right and down, in widths and heights of the picture. */
  readonly dx: number;
  readonly dy: number;
}

/**
 * A picture moved, scaled and turned, bilinear, of the same size.
 *
 * A pixel at p, measured from the centre, goes to scale · R(angle) · p + (dx · width, dy · height). Each result pixel is looked up at
 * the place that it comes from, between the four pixels whose centres surround it, and rounded. Outside lies the picture
 * mirrored without its edge pixels repeated (`reflect`: … c b | a b c …), or `black`, which begins at the picture's edge, half
 * a pixel beyond the outermost centres.
 *
 * Source: albumentations, ShiftScaleRotate; the matrix is that of OpenCV's getRotationMatrix2D. With `black`, within one level of
 * Pillow's Image.transform(AFFINE, BILINEAR), which cuts the fraction off.
 */
export function shiftScaleRotate({ width, height, data }: Image, { angle, scale, dx, dy }: Move, border: "reflect" | "black"): Image {
  const radians = (angle * Math.PI) / 180;
  const [cos, sin] = [Math.cos(radians) / scale, Math.sin(radians) / scale];
  const out = new Uint8Array(data.length);
  const inside = border === "reflect" ? reflected : clamped;
  for (let y = 0, to = 0; y < height; y++) {
    const down = y + 0.5 - height / 2 - dy * height;
    for (let x = 0; x < width; x++, to += 3) {
      const across = x + 0.5 - width / 2 - dx * width;
      const fromX = width / 2 + cos * across - sin * down;
      const fromY = height / 2 + sin * across + cos * down;
      if (border === "black" && (fromX < 0 || fromX >= width || fromY < 0 || fromY >= height)) continue;
      const [left, top] = [Math.floor(fromX - 0.5), Math.floor(fromY - 0.5)];
      const [right, below] = [fromX - 0.5 - left, fromY - 0.5 - top];
      const [x0, x1] = [inside(left, width) * 3, inside(left + 1, width) * 3];
      const [y0, y1] = [inside(top, height) * width * 3, inside(top + 1, height) * width * 3];
      for (let channel = 0; channel < 3; channel++) {
        const upper = data[y0 + x0 + channel] * (1 - right) + data[y0 + x1 + channel] * right;
        const lower = data[y1 + x0 + channel] * (1 - right) + data[y1 + x1 + channel] * right;
        out[to + channel] = Math.round(upper * (1 - below) + lower * below);
      }
    }
  }
  return { width, height, data: out };
}

function clamped(at: number, length: number): number {
  return Math.min(length - 1, Math.max(0, at));
}

/** Mirrored at both ends as often as needed, the end pixels standing once. */
function reflected(at: number, length: number): number {
  if (length === 1) return 0;
  const period = 2 * (length - 1);
  const place = ((at % period) + period) % period;
  return place < length ? place : period - place;
}
