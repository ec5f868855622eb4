/** Imported before uPlot, so that it loads in every browser. */

import { mendLocale } from "../core/locale.ts";

mendLocale();
