// Picture files to pixels.

import sharp from 'sharp';

import type { Picture } from './paper.ts';

// More detail than this helps no 28 x 28 input; a photo is scaled down first.
const LARGEST_SIDE = 400;
// What a picture may unfold to.
const MOST_PIXELS = 100_000_000;

/** Decodes PNG, JPEG, WebP, GIF, TIFF, AVIF or SVG, upright; where that can't be done, a sentence that says why. */
export async function decodePicture(file: Uint8Array): Promise<Picture | string> {
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
    return whyNot(file);
  }
}

async function whyNot(file: Uint8Array): Promise<string> {
  try {
    const { width, height } = await sharp(file, { limitInputPixels: false }).metadata();
    if (width * height <= MOST_PIXELS) return 'The picture is damaged or cut off. Send a whole PNG or JPEG file.';
    return `The picture has ${width} x ${height} pixels. Send one of at most ${MOST_PIXELS / 1e6} million.`;
  } catch {
    return 'The body is no picture. Send a PNG or JPEG file.';
  }
}
