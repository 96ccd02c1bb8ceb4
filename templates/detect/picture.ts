// Picture files to the model's input, keeping track of what was scaled and padded.

import sharp from 'sharp';

/** Width and height of the model's input. */
export const SIZE = 96;

// What a picture may unfold to.
const MOST_PIXELS = 100_000_000;

/** A picture made ready, and its own size. */
export interface Prepared {
  /** [3, SIZE, SIZE], 0 to 1. */
  readonly input: Float32Array;
  readonly width: number;
  readonly height: number;
  /** An upright PNG of the picture, to draw on. */
  readonly png: Buffer;
}

/** Decodes a picture and fits it into a grey square; null if the bytes are no picture. */
export async function preparePicture(file: Uint8Array): Promise<Prepared | null> {
  try {
    const { data: png, info } = await sharp(file, { limitInputPixels: MOST_PIXELS })
      .rotate()
      .flatten({ background: '#808080' })
      .toColourspace('srgb')
      .png({ compressionLevel: 1 })
      .toBuffer({ resolveWithObject: true });
    const pixels = await sharp(png)
      .resize({ width: SIZE, height: SIZE, fit: 'contain', background: '#808080' })
      .removeAlpha()
      .raw()
      .toBuffer();
    const input = new Float32Array(3 * SIZE * SIZE);
    for (let pixel = 0; pixel < SIZE * SIZE; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        input[channel * SIZE * SIZE + pixel] = pixels[pixel * 3 + channel]! / 255;
      }
    }
    return { input, width: info.width, height: info.height, png };
  } catch {
    return null;
  }
}
