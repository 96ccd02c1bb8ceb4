// Pictures of digits in fonts that no training run saw, as people send them: many sizes, margins, colours, places. The same
// pictures every time.

import { fileURLToPath } from 'node:url';

import sharp from 'sharp';

import { loadFamily } from '../../scripts/training/glyphs.ts';
import type { DigitFont } from '../../scripts/training/glyphs.ts';
import { boundsOf, mapShape } from '../../scripts/training/shapes.ts';
import type { Shape } from '../../scripts/training/shapes.ts';
import { randomInteger, seededRandom } from '../../src/random.ts';
import type { Random } from '../../src/random.ts';

/** Families kept out of templates/digits/training: sans, serif, slab, mono, condensed, rounded, display, handwriting. */
export const HELD_OUT_FAMILIES = [
  'anonymous-pro',
  'arvo',
  'bree-serif',
  'courier-prime',
  'kalam',
  'lobster-two',
  'marcellus',
  'overpass-mono',
  'patrick-hand',
  'pt-sans-narrow',
  'quattrocento',
  'schoolbell',
  'sniglet',
  'titillium-web',
  'ubuntu',
  'varela-round',
  'volkhov',
] as const;

/** One picture and what it shows. */
export interface DigitImage {
  readonly label: number;
  readonly family: string;
  readonly font: string;
  readonly look: Look;
  readonly png: Buffer;
}

const LOOKS = ['plain', 'small', 'inverted', 'coloured', 'transparent', 'aside'] as const;
type Look = (typeof LOOKS)[number];

/** Every digit in every held-out family, up to three fonts each, in `looks` ways each: 1,200 pictures at 3. */
export async function heldOutDigitImages(looks = 3, seed = 7): Promise<DigitImage[]> {
  const random = seededRandom(seed);
  const images: Promise<DigitImage>[] = [];
  for (const [i, fonts] of heldOutFonts().entries()) {
    const family = HELD_OUT_FAMILIES[i]!;
    for (const font of fonts) {
      font.digits.forEach((digit, label) => {
        for (let picture = 0; picture < looks; picture++) {
          const look = LOOKS[randomInteger(random, LOOKS.length)]!;
          const svg = drawSvg(digit, look, random);
          const png = sharp(Buffer.from(svg)).png().toBuffer();
          images.push(png.then((content) => ({ label, family, font: font.name, look, png: content })));
        }
      });
    }
  }
  return Promise.all(images);
}

/** The fonts of each held-out family. */
export function heldOutFonts(): DigitFont[][] {
  return HELD_OUT_FAMILIES.map((family) => {
    return variety(loadFamily(fileURLToPath(new URL(`../../node_modules/@fontsource/${family}`, import.meta.url))));
  });
}

/** A regular, a bold and an italic, as far as the family has them. */
function variety(fonts: readonly DigitFont[]): DigitFont[] {
  const wanted = [/-400-normal$/u, /-700-normal$/u, /-400-italic$/u];
  return wanted.flatMap((pattern) => fonts.find(({ name }) => pattern.test(name)) ?? []);
}

interface Style {
  readonly paper: string | null;
  readonly ink: string;
}

function styleOf(look: Look, random: Random): Style {
  if (look === 'inverted') return { paper: '#000', ink: '#fff' };
  if (look === 'transparent') return { paper: null, ink: random() < 0.5 ? '#000' : '#e8e8ff' };
  if (look !== 'coloured') return { paper: '#fff', ink: '#000' };
  const hue = randomInteger(random, 360);
  const light = random() < 0.5;
  return {
    paper: `hsl(${hue}, 60%, ${light ? 85 : 20}%)`,
    ink: `hsl(${(hue + 120) % 360}, 70%, ${light ? 30 : 75}%)`,
  };
}

function drawSvg(digit: Shape, look: Look, random: Random): string {
  const { paper, ink } = styleOf(look, random);
  const height = look === 'small' ? 18 + random() * 10 : 28 + random() * 150;
  const bounds = boundsOf(digit);
  const scale = height / (bounds.bottom - bounds.top);
  const margin = height * (0.1 + random() * 0.5);
  const [right, below] = look === 'aside' ? [height * 3 * random(), height * 3 * random()] : [0, 0];
  const angle = look === 'aside' ? (random() - 0.5) * 0.2 : 0;
  const placed = mapShape(digit, (x, y) => {
    const [dx, dy] = [(x - bounds.left) * scale, (y - bounds.top) * scale];
    return [dx * Math.cos(angle) - dy * Math.sin(angle), dx * Math.sin(angle) + dy * Math.cos(angle)];
  });
  const turned = boundsOf(placed);
  const points = mapShape(placed, (x, y) => [x - turned.left + margin + right, y - turned.top + margin + below]);
  const width = Math.ceil(turned.right - turned.left + 2 * margin + right * 1.2);
  const tall = Math.ceil(turned.bottom - turned.top + 2 * margin + below * 1.2);
  const path = points.map((contour) => `M${contour.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join('L')}Z`);
  const background = paper === null ? '' : `<rect width="100%" height="100%" fill="${paper}"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${tall}">${background}<path d="${path.join('')}" fill="${ink}"/></svg>`;
}
