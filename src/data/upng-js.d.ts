declare module "upng-js" {
  const UPNG: {
    readonly decode: {
      /** Unpacks a zlib stream (by pako); gives nothing when the stream ends early, throws when it is damaged. */
      _inflate(bytes: Uint8Array): Uint8Array | undefined;
    };
    /** @param frames RGBA, 8 bits a channel. @param colours 0 for lossless. */
    encode(frames: ArrayBuffer[], width: number, height: number, colours: number): ArrayBuffer;
  };
  export default UPNG;
}
