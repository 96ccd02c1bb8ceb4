// Picture files to the model's input, keeping track of what was scaled and padded.

import sharp from 'sharp';
import type { Sharp } from 'sharp';

/** Width and height of the model's input. */
export const SIZE = 128;

// What a picture may unfold to.
const MOST_PIXELS = 100_000_000;
// What lies around a picture that is no square, and under one that is transparent.
const GREY = '#808080';

/** A picture made ready. */
export interface Prepared {
  /** [3, SIZE, SIZE], 0 to 1. */
  readonly input: Float32Array;
  /** Of the picture as it is seen, upright. */
  readonly width: number;
  readonly height: number;
}

/** Decodes a picture and fits it into a grey square; where that can't be done, a sentence that says why. */
export async function preparePicture(file: Uint8Array): Promise<Prepared | string> {
  const size = await uprightSize(file);
  if (size === null) return 'The body is no picture. Send a PNG or JPEG file.';
  const { width, height } = size;
  if (width * height > MOST_PIXELS) {
    return `The picture has ${width} x ${height} pixels. Send one of at most ${MOST_PIXELS / 1e6} million.`;
  }
  try {
    const pixels = await upright(file)
      .resize({ width: SIZE, height: SIZE, fit: 'contain', background: GREY })
      .removeAlpha()
      .raw()
      .toBuffer();
    const input = new Float32Array(3 * SIZE * SIZE);
    for (let pixel = 0; pixel < SIZE * SIZE; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        input[channel * SIZE * SIZE + pixel] = pixels[pixel * 3 + channel]! / 255;
      }
    }
    return { input, width, height };
  } catch {
    return 'The picture is damaged or cut off. Send a whole PNG or JPEG file.';
  }
}

async function uprightSize(file: Uint8Array): Promise<{ width: number; height: number } | null> {
  try {
    return (await sharp(file, { limitInputPixels: false }).metadata()).autoOrient;
  } catch {
    return null;
  }
}

/** The picture as a PNG with a drawing of its size laid over it. */
export function drawOver(file: Uint8Array, svg: string): Promise<Buffer> {
  return upright(file)
    .composite([{ input: Buffer.from(svg) }])
    .png()
    .toBuffer();
}

function upright(file: Uint8Array): Sharp {
  return sharp(file, { limitInputPixels: MOST_PIXELS }).rotate().flatten({ background: GREY }).toColourspace('srgb');
}
