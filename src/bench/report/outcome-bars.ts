// Hits and misses as bars: for each policy and working set the share of hits, of misses, and of false ones among them.

import type { BenchResult } from '../results.ts';
import { escape, round } from './svg.ts';

const WIDTH = 560;
const LEFT = 130;
const ROW = 24;

/** Bars of one working set. */
export function outcomeBars(title: string, results: readonly BenchResult[]): string {
  const height = results.length * ROW + 8;
  const room = WIDTH - LEFT - 60;
  const bars = results.map((result, index) => {
    const top = index * ROW + 4;
    const falseShare = result.missRatio * result.falseMissRatio;
    const parts = [
      { kind: 'hit', share: 1 - result.missRatio },
      { kind: 'false-miss', share: falseShare },
      { kind: 'miss', share: result.missRatio - falseShare },
    ];
    let left = LEFT;
    const rects = parts.map(({ kind, share }) => {
      const width = round(share * room);
      const tip = `${result.policy}: ${kind.replace('-', ' ')} ${(share * 100).toFixed(1)}%`;
      const rect = `<rect class="${kind}" x="${round(left)}" y="${top}" width="${width}" height="${ROW - 8}"><title>${escape(tip)}</title></rect>`;
      left += width;
      return rect;
    });
    const middle = top + ROW / 2;
    return `<text x="${LEFT - 8}" y="${middle}" text-anchor="end">${escape(result.policy)}</text>${rects.join('')}<text x="${WIDTH - 52}" y="${middle}">${((1 - result.missRatio) * 100).toFixed(1)}%</text>`;
  });
  return `<figure><figcaption>${escape(title)} <span>share of hits</span></figcaption>
<ul class="legend"><li><i class="swatch hit"></i>hit</li><li><i class="swatch false-miss"></i>false miss</li><li><i class="swatch miss"></i>miss</li></ul>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(`${title}: share of hits`)}">${bars.join('')}</svg></figure>`;
}
