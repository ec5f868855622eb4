import { offer } from "../web/remote.ts";
import { Training } from "./training/training.ts";

offer(new Training());
