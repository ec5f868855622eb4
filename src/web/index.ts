/** Captions in web pages: texts for images by a call or an element, computed in a worker on the device of whoever looks at the page. */
export { describe, describeFully, releaseDescriber, type DescribeHereOptions } from "./describe.ts";
export { Describer, type DescribableImage, type DescribeImageOptions } from "./describer.ts";
export { defineSightLine, type DescribedDetail, type FailedDetail } from "./element.ts";
export { callback, offer, remote, type Remote } from "./remote.ts";
export type { CaptionerFacts, CaptionerSource, CaptionService, Description, DescribeRequest, LoadProgress, Picture, PublishedEntry, SeenWord } from "./service.ts";
export type { WorkerChoice } from "./start-worker.ts";
