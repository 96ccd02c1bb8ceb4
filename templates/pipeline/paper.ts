// How far each pixel is from the paper it is drawn on: of any colour, lit from one side, or transparent.

/** A picture as rows of red, green, blue, alpha. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgba: Uint8Array;
}

// What the middles of opposite sides say of the middle of the sheet may differ by this much (of 255); else it is not lit evenly
// enough, or something lies on a side.
const MOST_UNEVEN = 20;

/** For each pixel 0 (paper) to 255. */
export function distanceFromPaper({ width, height, rgba }: Picture): Uint8Array {
  const [left, right] = [line(height, 0, width), line(height, width - 1, width)];
  const [top, bottom] = [line(width, 0, 1), line(width, (height - 1) * width, 1)];
  const border = [...left, ...right, ...top, ...bottom];
  // On a transparent background the ink is what is opaque.
  const clear = border.filter((pixel) => rgba[pixel * 4 + 3]! < 128).length;
  if (clear >= border.length / 2) return Uint8Array.from({ length: width * height }, (_, i) => rgba[i * 4 + 3]!);

  const paper = [0, 1, 2].map((channel) => {
    const middle = (pixels: readonly number[]): number => median(pixels.map((pixel) => rgba[pixel * 4 + channel]!));
    const [west, east, north, south] = [middle(left), middle(right), middle(top), middle(bottom)];
    if (Math.abs(west + east - north - south) / 2 > MOST_UNEVEN) return { level: middle(border), across: 0, down: 0 };
    return { level: (west + east + north + south) / 4, across: east - west, down: south - north };
  });
  const distance = new Uint8Array(width * height);
  for (let i = 0; i < distance.length; i++) {
    const [x, y] = [((i % width) + 0.5) / width - 0.5, (Math.floor(i / width) + 0.5) / height - 0.5];
    let most = 0;
    for (let channel = 0; channel < 3; channel++) {
      const { level, across, down } = paper[channel]!;
      most = Math.max(most, Math.abs(rgba[i * 4 + channel]! - Math.round(level + across * x + down * y)));
    }
    distance[i] = (most * rgba[i * 4 + 3]!) / 255;
  }
  return distance;
}

/** So many pixels, one after the other in steps. */
function line(count: number, first: number, step: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i * step);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}
