/** For pages without a bundler: this module defines the element `<sight-line>` when it is loaded. */
import { defineSightLine } from "./element.ts";

defineSightLine();
