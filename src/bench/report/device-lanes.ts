// The device time line as a picture: a lane for each device, what it ran and what it loaded in the first minute or so.

import type { TimelineRow } from '../../simulation/timeline.ts';
import { escape, linearScale, round } from './svg.ts';

const WIDTH = 1140;
const LEFT = 40;
const LANE = 16;
const TOP = 6;
const BOTTOM = 26;
/** More lanes than this are no picture any more. */
const MOST_DEVICES = 24;

/** The lanes of one simulation, up to `untilMs`, or nothing if there is nothing to show. */
export function deviceLanes(title: string, rows: readonly TimelineRow[], devices: number, untilMs: number): string {
  if (rows.length === 0) return '';
  const lanes = Math.min(devices, MOST_DEVICES);
  const height = TOP + lanes * LANE + BOTTOM;
  const x = linearScale(untilMs, LEFT, WIDTH - 10);
  const shapes = rows.flatMap((row) => {
    if (row.device >= lanes) return [];
    const top = TOP + row.device * LANE;
    const left = round(x.place(row.startMs));
    const width = Math.max(0.8, round(x.place(Math.min(row.endMs, untilMs)) - left));
    const tip = `<title>${escape(describe(row))}</title>`;
    // Loads lie under runs: with overlap both happen at once.
    if (row.kind === 'load')
      return [`<rect class="load" x="${left}" y="${top + 10}" width="${width}" height="4">${tip}</rect>`];
    if (row.kind === 'run')
      return [`<rect class="run" x="${left}" y="${top + 1}" width="${width}" height="8">${tip}</rect>`];
    return [`<line class="evict" x1="${left}" x2="${left}" y1="${top}" y2="${top + 15}">${tip}</line>`];
  });
  const labels = Array.from({ length: lanes }, (_, index) => {
    return `<text x="${LEFT - 6}" y="${TOP + index * LANE + 11}" text-anchor="end">${index}</text>`;
  });
  const ticks = x.ticks
    .filter((tick) => tick <= untilMs)
    .map((tick) => `<text x="${round(x.place(tick))}" y="${height - 6}" text-anchor="middle">${tick / 1000} s</text>`);
  const note = devices > lanes ? ` <span>first ${lanes} of ${devices} devices</span>` : '';
  return `<figure class="wide"><figcaption>${escape(title)}${note}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(`${title}: what each device did`)}">${labels.join('')}${ticks.join('')}${shapes.join('')}</svg></figure>`;
}

function describe(row: TimelineRow): string {
  const requests = row.requests.length === 0 ? '' : `, request ${row.requests.join('+')}`;
  return `${row.kind} ${row.model}${requests}: ${row.startMs} to ${row.endMs} ms`;
}
