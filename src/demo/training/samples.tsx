import { useEffect, useRef } from "preact/hooks";
import type { Image } from "../../data/image.ts";
import type { ShownSample } from "./course.ts";

/** Places that are reserved before the first picture is there. */
const PLACES = 4;

/** A few pictures that are not trained on, what is to be said of them, and what the model says. */
export function Samples({ samples }: { readonly samples: readonly ShownSample[] }) {
  return (
    <div>
      <h3>What it says by now</h3>
      <ul class="train-samples">
        {samples.length === 0
          ? Array.from({ length: PLACES }, (_, i) => <li key={i} aria-hidden="true"><div class="train-picture" /></li>)
          : samples.map((sample) => <Sample key={sample.name} {...sample} />)}
      </ul>
    </div>
  );
}

function Sample({ name, picture, reference, caption, before }: ShownSample) {
  return (
    <li>
      <div class="train-picture"><PictureCanvas picture={picture} label={name} /></div>
      <p class="train-said">{caption === null ? <span class="quiet">nothing yet</span> : caption === "" ? <span class="quiet">(no word)</span> : caption}</p>
      <p key={before} class="train-before small" aria-hidden="true">{before !== null && before !== caption && before !== "" ? before : " "}</p>
      <p class="small quiet">Should be: {reference}</p>
    </li>
  );
}

function PictureCanvas({ picture: { width, height, data }, label }: { readonly picture: Image; readonly label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const pixels = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      pixels.data.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
      pixels.data[4 * i + 3] = 255;
    }
    canvas.current!.getContext("2d")!.putImageData(pixels, 0, 0);
  }, [data]);
  return <canvas ref={canvas} width={width} height={height} role="img" aria-label={label} />;
}
