// Picture files to pixels.

import sharp from 'sharp';

import type { Picture } from './ink.ts';

// A line of digits needs no more detail than this; a photo is scaled down first.
const LARGEST_SIDE = 1200;
// What a picture may unfold to.
const MOST_PIXELS = 100_000_000;

/** Decodes PNG, JPEG, WebP, GIF, TIFF, AVIF or SVG; null if the bytes are no picture. */
export async function decodePicture(file: Uint8Array): Promise<Picture | null> {
  try {
    const { data, info } = await sharp(file, { limitInputPixels: MOST_PIXELS })
      .rotate()
      .resize({ width: LARGEST_SIDE, height: LARGEST_SIDE, fit: 'inside', withoutEnlargement: true })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, rgba: data };
  } catch {
    return null;
  }
}
