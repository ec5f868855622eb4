/** The worker that captions for a page. `?hub=ADDRESS` behind its own address names a mirror of the Hugging Face hub. */
import { Captioning } from "./captioning.ts";
import { offer } from "./remote.ts";

offer(new Captioning({ endpoint: new URL(import.meta.url).searchParams.get("hub") ?? undefined }));
