import { useEffect, useState } from "preact/hooks";
import type { SystemName } from "../../caption/systems.ts";
import type { PageAdapter } from "../adapter.ts";
import { Notice } from "../parts/notice.tsx";
import { Segments } from "../parts/segments.tsx";
import { OwnPictures, type OwnChoice } from "./own-pictures.tsx";
import { ScenesFields } from "./scenes-fields.tsx";
import type { RunRequest, RunSettings, ScenesRequest } from "./service.ts";
import { SettingsFields } from "./settings-fields.tsx";
import { SYSTEMS } from "./systems.ts";
import type { TrainingState } from "./use-training.ts";

/** Scenes that are proposed: a processor takes many times as long for each. */
const SCENES = { hardware: 10_000, software: 1000 } as const;

type Source = "scenes" | "pictures";

/** What is trained, and on what: one press on the button will do. */
export function Setup({ training, adapter }: { readonly training: TrainingState; readonly adapter: PageAdapter }) {
  const isSoftware = adapter.summary.kind === "software";
  const [source, setSource] = useState<Source>("scenes");
  const [scenes, setScenes] = useState<ScenesRequest>({ kind: "scenes", train: isSoftware ? SCENES.software : SCENES.hardware, languages: ["en"], text: "caption" });
  const [own, setOwn] = useState<OwnChoice | null>(null);
  const [system, setSystem] = useState<SystemName>("storyteller");
  const [size, setSize] = useState<RunRequest["size"]>("tiny");
  const [settings, setSettings] = useState<Partial<RunSettings>>({});
  const [usual, setUsual] = useState<RunSettings | null>(null);
  const { service } = training;

  const amount = source === "scenes" ? scenes : (own?.pictures ?? 1);
  useEffect(() => {
    let isCurrent = true;
    service.defaults(system, size, amount).then((values) => isCurrent && setUsual(values), () => isCurrent && setUsual(null)); // Start says what is wrong
    return () => {
      isCurrent = false;
    };
  }, [system, size, source, scenes, own]);

  const data = source === "scenes" ? scenes : own?.request;
  const begin = (): void => {
    if (data !== undefined) training.start({ data, system, size, settings });
  };
  return (
    <form class="card train-setup" onSubmit={(event) => (event.preventDefault(), begin())}>
      <Segments label="What it learns from" value={source} onChoose={setSource} options={[{ value: "scenes", title: "Drawn scenes" }, { value: "pictures", title: "My own pictures" }]} />
      <div class="train-data">
        {source === "scenes" ? <ScenesFields value={scenes} onChange={setScenes} /> : <OwnPictures service={service} onChange={setOwn} />}
      </div>
      <div>
        <Segments label="What learns" value={system} onChoose={setSystem} options={SYSTEMS} />
        <p class="quiet small train-about">{SYSTEMS.find(({ value }) => value === system)!.about}</p>
      </div>
      <SettingsFields usual={usual} value={settings} size={size} onChange={setSettings} onSize={setSize} />
      {isSoftware && <Notice kind="info">This browser has no graphics processor to compute on, so the processor does the work: a run takes many times as long. The page proposes fewer scenes for that; after a few steps, the time that is left stands above the chart.</Notice>}
      <div class="row">
        <button type="submit" class="primary train-start" disabled={training.isAtWork || data === undefined}>Start training</button>
        <span class="quiet small">{data === undefined ? "Choose pictures with captions first." : "You can pause at any time. It is saved on this device as it goes."}</span>
      </div>
    </form>
  );
}
