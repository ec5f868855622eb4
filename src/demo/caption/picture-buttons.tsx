import { useState } from "preact/hooks";
import { CameraDialog } from "./camera-dialog.tsx";
import { FileButton } from "./file-button.tsx";

interface PictureButtonsProps {
  readonly onPicture: (blob: Blob, name: string) => void;
  /** Undefined where the page draws no scenes. */
  readonly onScene: (() => void) | undefined;
}

/** Where pictures come from. */
export function PictureButtons({ onPicture, onScene }: PictureButtonsProps) {
  const [camera, setCamera] = useState(false);
  return (
    <>
      <div class="row sources">
        <FileButton label="Choose a picture" accept="image/*" primary onFiles={([file]) => onPicture(file, file.name)} />
        <button type="button" onClick={() => setCamera(true)}>Camera</button>
        {onScene && <button type="button" onClick={onScene}>Draw a scene</button>}
      </div>
      <CameraDialog open={camera} onClose={() => setCamera(false)} onShot={(shot) => onPicture(shot, "camera.jpg")} />
    </>
  );
}
