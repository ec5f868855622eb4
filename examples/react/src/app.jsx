import { useState } from "react";
import { useCaption } from "./use-caption.js";

export function App() {
  const [src, setSrc] = useState("scene.png");
  const { status, text } = useCaption(src);
  const choose = ({ target: { files: [file] } }) => {
    if (file === undefined) return; // the choice was cancelled: the picture stays
    URL.revokeObjectURL(src);
    setSrc(URL.createObjectURL(file));
  };
  return (
    <main>
      <label>
        A picture: <input type="file" accept="image/jpeg,image/png" onChange={choose} />
      </label>
      <figure aria-busy={status === "looking"}>
        <img src={src} width="256" alt={status === "done" ? text : ""} />
        <figcaption role="status">{status === "looking" ? "Looking at the picture …" : text}</figcaption>
      </figure>
    </main>
  );
}
