/** Of the package; written here by build.mjs. */
declare const SIGHTLINE_VERSION: string;

export const VERSION: string = SIGHTLINE_VERSION;
