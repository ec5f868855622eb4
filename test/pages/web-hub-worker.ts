import { Captioning } from "../../src/web/captioning.ts";
import { offer } from "../../src/web/remote.ts";

offer(new Captioning({ endpoint: location.hash.slice(1) }));
