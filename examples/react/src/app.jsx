import { useState } from "react";
import { useCaption } from "./use-caption.js";

export function App() {
  const [src, setSrc] = useState("scene.png");
  const { status, text } = useCaption(src);
  const choose = ({ target: { files } }) => {
    URL.revokeObjectURL(src);
    if (files.length > 0) setSrc(URL.createObjectURL(files[0]));
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
