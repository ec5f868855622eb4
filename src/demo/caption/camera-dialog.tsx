import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../parts/dialog.tsx";
import { Notice } from "../parts/notice.tsx";
import { messageOf } from "../message.ts";

interface CameraDialogProps {
  readonly open: boolean;
  readonly onClose: () => void;
  readonly onShot: (picture: Blob) => void;
}

/** Takes a picture. The camera is let go when this is closed. */
export function CameraDialog({ open, onClose, onShot }: CameraDialogProps) {
  const shoot = (picture: Blob): void => {
    onClose();
    onShot(picture);
  };
  return <Dialog title="Take a picture" open={open} onClose={onClose}><Camera onShot={shoot} /></Dialog>;
}

function Camera({ onShot }: { readonly onShot: (picture: Blob) => void }) {
  const video = useRef<HTMLVideoElement>(null);
  const [ready, setReady] = useState(false);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    let open = true;
    let stream: MediaStream | null = null;
    const release = (): void => stream?.getTracks().forEach((track) => track.stop());
    openCamera().then(
      (opened) => {
        stream = opened;
        if (open && video.current !== null) video.current.srcObject = opened;
        else release(); // it was closed before the camera was allowed
      },
      (reason: unknown) => setError(reasonOf(reason)),
    );
    return () => {
      open = false;
      release();
    };
  }, []);

  const shoot = (): void => {
    const { videoWidth: width, videoHeight: height } = video.current!;
    const canvas = new OffscreenCanvas(width, height);
    canvas.getContext("2d")!.drawImage(video.current!, 0, 0);
    canvas.convertToBlob({ type: "image/jpeg", quality: 0.92 }).then(onShot, (reason: unknown) => setError(messageOf(reason)));
  };

  if (error !== null) return <Notice kind="error">{error}</Notice>;
  return (
    <>
      <video ref={video} autoplay muted playsInline aria-label="What the camera sees" onPlaying={() => setReady(true)} />
      <div class="row">
        <button type="button" class="primary" disabled={!ready} onClick={shoot}>Take the picture</button>
        <span class="quiet small" role="status">{ready ? "It stays on this device." : "Waiting for the camera; the browser may ask whether this page may use it."}</span>
      </div>
    </>
  );
}

async function openCamera(): Promise<MediaStream> {
  if (navigator.mediaDevices === undefined) throw new DOMException("", "SecurityError");
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 960 } } });
}

const REASONS: Readonly<Record<string, string>> = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this page, or choose a picture instead.",
  NotFoundError: "No camera was found on this device. Choose a picture instead.",
  NotReadableError: "The camera does not answer: another program may be using it. Close that one, or choose a picture instead.",
  SecurityError: "Browsers give the camera only to pages from https:// or localhost. Choose a picture instead.",
};

function reasonOf(error: unknown): string {
  const name = error instanceof DOMException ? error.name : "";
  return REASONS[name] ?? `The camera could not be opened: ${messageOf(error)}. Choose a picture instead.`;
}
