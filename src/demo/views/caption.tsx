import "../style/caption.css";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { ViewProps } from "../app.tsx";
import { Candidates } from "../caption/candidates.tsx";
import { CaptionerChoice } from "../caption/captioner-choice.tsx";
import { checkpointChoice, CHECKPOINTS } from "../caption/checkpoint-files.ts";
import { LookingLine } from "../caption/looking-line.tsx";
import { PictureButtons } from "../caption/picture-buttons.tsx";
import { PublishedDialog } from "../caption/published-dialog.tsx";
import { ScenesHint } from "../caption/scenes-hint.tsx";
import { candidatesOf, FIRST_SETTINGS, requestOf, type SpeechSettings } from "../caption/speech.ts";
import { SpeechOptions } from "../caption/speech-options.tsx";
import { Spoken } from "../caption/spoken.tsx";
import { Stage } from "../caption/stage.tsx";
import { siteChoice, useCaptioner } from "../caption/use-captioner.ts";
import { useDescription } from "../caption/use-description.ts";
import { useIncoming } from "../caption/use-incoming.ts";
import { useLooking } from "../caption/use-looking.ts";
import { usePicture } from "../caption/use-picture.ts";
import { receiveCheckpoints } from "../hand-over.ts";

export function CaptionView({ site }: ViewProps) {
  const choices = useMemo(() => site.captioners.map(siteChoice), [site]);
  const scenes = choices.some((choice) => choice.scenes);
  const captioner = useCaptioner(choices[0] ?? null, site.hub);
  const [settings, setSettings] = useState<SpeechSettings>(FIRST_SETTINGS);
  const [listed, setListed] = useState(false);
  const { picture, error, show, drawScene, refuse, dismiss } = usePicture(scenes);
  const { opened } = captioner;
  const request = useMemo(() => opened && requestOf(settings, opened.facts), [settings, opened]);
  const [telling, again] = useDescription(captioner, picture, request);
  const words = telling.state === "told" && captioner.opening === null ? telling.description.words : null;
  const looking = useLooking(words);

  useEffect(() => {
    if (opened !== null) captioner.dismiss(); // else it says why there will be no text
  }, [picture]);
  const shown = useRef(false);
  useEffect(() => {
    if (words === null || shown.current) return;
    shown.current = true; // the first text shows by itself what its words are good for
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) looking.play();
  }, [words]);

  const take = (files: readonly File[]): void => {
    const checkpoint = checkpointChoice(files);
    if (checkpoint !== null) return captioner.open(checkpoint);
    const picture = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
    show(picture, picture.name);
  };
  const openFiles = (files: readonly File[]): void => {
    if (checkpointChoice(files) === null) refuse(`${files[0].name} holds no weights: choose the file that does, which ends in ${CHECKPOINTS.join(", ")}, together with those that belong to it.`);
    else take(files);
  };
  useEffect(() => receiveCheckpoints((checkpoint) => take([checkpoint])), []);
  const view = useRef<HTMLDivElement>(null);
  const over = useIncoming(view, take, () => refuse("What was dropped is a link or a text, not a file: save the picture first, or copy it and paste it here."));

  const onPublished = site.parts.includes("published") ? () => setListed(true) : undefined;
  return (
    <div class="wide caption-view" ref={view}>
      <h1>{site.title ?? "Pictures, put into words"}</h1>
      <p class="lead">A neural network in this tab says what a picture shows, and where it looked for each word. It computes on your own device: nothing is uploaded.</p>
      <div class="card tool">
        <div class="picture-side">
          <Stage picture={picture} word={looking.at === null ? null : (words?.[looking.at] ?? null)} over={over} busy={telling.state === "telling"} invitation={scenes ? "" : "Drop a picture here"} problem={error} onRead={dismiss} />
          <PictureButtons onPicture={show} onScene={scenes ? drawScene : undefined} />
          <p class="quiet small drop-hint">…or drop a picture or a checkpoint anywhere on this page, or paste a picture.</p>
        </div>
        <div class="text-side">
          <Spoken captioner={captioner} telling={telling} again={again} looking={looking} />
          <LookingLine ready={words !== null} looking={looking} looks={opened?.facts.looks} />
          <CaptionerChoice captioner={captioner} choices={choices} onPublished={onPublished} onFiles={openFiles} />
          <SpeechOptions settings={settings} facts={opened?.facts ?? null} onChange={(change) => setSettings((before) => ({ ...before, ...change }))} />
        </div>
        {candidatesOf(settings) > 1 && <Candidates telling={telling} count={candidatesOf(settings)} />}
      </div>
      {scenes && <ScenesHint photograph={picture !== null && !picture.scene && opened?.choice.scenes === true} onPublished={onPublished} trains={site.parts.includes("train")} />}
      <PublishedDialog open={listed} onClose={() => setListed(false)} captioner={captioner} />
    </div>
  );
}
