declare module "upng-js" {
  const UPNG: {
    /** @param frames RGBA, 8 bits a channel. @param colours 0 for lossless. */
    encode(frames: ArrayBuffer[], width: number, height: number, colours: number): ArrayBuffer;
  };
  export default UPNG;
}
