// From the model's grid to boxes. Each cell answers for objects whose middle lies in it.

/** What the model knows, in the order of its output. */
export const CLASSES = ['circle', 'square', 'triangle', 'star'] as const;

/** Pixels of the model's input to a cell. */
export const CELL = 8;

/** Channels of a cell: is there an object; how far its middle is from the cell's, in cells; its size as logarithms; its class. */
export const CHANNELS = 5 + CLASSES.length;

/** The size that counts as 0 in the size channels, in pixels of the model's input. */
export const USUAL_SIZE = 24;

/** One object. The box is in the units of whoever made it: left, top, width, height. */
export interface Found {
  readonly label: (typeof CLASSES)[number];
  readonly score: number;
  readonly box: readonly [number, number, number, number];
}

/** Objects in a grid of `columns` x `rows` cells, in pixels of the model's input, surest first, none twice. */
export function readGrid(cells: Float32Array, columns: number, rows: number, leastScore = 0.5): Found[] {
  const found: Found[] = [];
  const plane = columns * rows;
  for (let cell = 0; cell < plane; cell++) {
    const at = (channel: number): number => cells[channel * plane + cell]!;
    const score = sigmoid(at(0));
    if (score < leastScore) continue;
    const [width, height] = [USUAL_SIZE * Math.exp(clamp(at(3))), USUAL_SIZE * Math.exp(clamp(at(4)))];
    const x = ((cell % columns) + 0.5 + clamp(at(1))) * CELL;
    const y = (Math.floor(cell / columns) + 0.5 + clamp(at(2))) * CELL;
    const chances = CLASSES.map((_, i) => at(5 + i));
    const label = CLASSES[chances.indexOf(Math.max(...chances))]!;
    found.push({ label, score, box: [x - width / 2, y - height / 2, width, height] });
  }
  return withoutDoubles(found);
}

/** Scales boxes from the square input back to the picture that was fitted into it. */
export function toPicture(found: readonly Found[], input: number, width: number, height: number): Found[] {
  const scale = Math.max(width, height) / input;
  const [left, top] = [(width / scale - input) / 2, (height / scale - input) / 2];
  return found.map(({ label, score, box: [x, y, w, h] }) => {
    const [x0, y0] = [within((x + left) * scale, width), within((y + top) * scale, height)];
    const [x1, y1] = [within((x + left + w) * scale, width), within((y + top + h) * scale, height)];
    return { label, score, box: [x0, y0, x1 - x0, y1 - y0] };
  });
}

/** How much two boxes share: area in common over area in all. */
export function overlap([ax, ay, aw, ah]: Found['box'], [bx, by, bw, bh]: Found['box']): number {
  const wide = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const high = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (wide <= 0 || high <= 0) return 0;
  return (wide * high) / (aw * ah + bw * bh - wide * high);
}

// Two boxes that share more than this are one object seen by two cells.
const SAME_OBJECT = 0.45;

function withoutDoubles(found: Found[]): Found[] {
  const kept: Found[] = [];
  for (const candidate of found.sort((a, b) => b.score - a.score)) {
    if (kept.every(({ box }) => overlap(box, candidate.box) < SAME_OBJECT)) kept.push(candidate);
  }
  return kept;
}

function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** No answer of the network makes a box of no or of endless size. */
function clamp(answer: number): number {
  return Math.min(3, Math.max(-3, answer));
}

function within(value: number, size: number): number {
  return Math.min(size, Math.max(0, value));
}
