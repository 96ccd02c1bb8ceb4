// Small pieces of SVG: escaping, scales with readable ticks, and a line chart. Colours are left to the page's style sheet.

/** Text made safe inside markup and attributes. */
export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** From a value to a place on an axis, and the values worth a tick. */
export interface Scale {
  readonly place: (value: number) => number;
  readonly ticks: readonly number[];
}

/** An even axis from 0 to at least `most`, on `from`…`to`. */
export function linearScale(most: number, from: number, to: number): Scale {
  const step = niceStep(most / 5);
  const end = Math.max(step, Math.ceil(most / step - 1e-9) * step);
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) =>
    Number((index * step).toPrecision(12)),
  );
  return { place: (value) => from + ((to - from) * value) / end, ticks };
}

/** A logarithmic axis over positive values. */
export function logScale(least: number, most: number, from: number, to: number): Scale {
  const low = Math.log10(Math.max(least, 1e-3));
  const high = Math.max(low + 0.3, Math.log10(most));
  const ticks: number[] = [];
  for (let power = Math.floor(low); power <= high; power++) {
    for (const factor of high - low > 3 ? [1] : [1, 2, 5]) {
      const tick = factor * 10 ** power;
      if (Math.log10(tick) >= low - 1e-9 && Math.log10(tick) <= high + 1e-9) ticks.push(tick);
    }
  }
  return {
    place: (value) => from + ((to - from) * (Math.log10(Math.max(value, 10 ** low)) - low)) / (high - low),
    ticks,
  };
}

/** One line of a chart; `color` is the number of a colour of the page. */
export interface Series {
  readonly label: string;
  readonly color: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What a line chart shows, with its axes. */
export interface LineChart {
  readonly title: string;
  readonly series: readonly Series[];
  readonly xLabel: string;
  readonly yLabel: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  readonly formatX: (value: number) => string;
  readonly formatY: (value: number) => string;
  /** Show a dot with a tooltip at each point. */
  readonly dots?: boolean;
}

const WIDTH = 560;
const HEIGHT = 320;
const LEFT = 62;
const RIGHT = 16;
const TOP = 14;
const BOTTOM = 44;

/** A line chart as an SVG element with a caption and a legend. */
export function lineChart(chart: LineChart): string {
  const points = chart.series.flatMap((series) => series.points);
  if (points.length === 0) return '';
  const x = axis(
    points.map((point) => point[0]),
    chart.logX === true,
    LEFT,
    WIDTH - RIGHT,
  );
  const y = axis(
    points.map((point) => point[1]),
    chart.logY === true,
    HEIGHT - BOTTOM,
    TOP,
  );
  const grid = [
    ...y.ticks.map((tick) => {
      const at = round(y.place(tick));
      return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/><text x="${LEFT - 8}" y="${at + 4}" text-anchor="end">${escape(chart.formatY(tick))}</text>`;
    }),
    ...x.ticks.map((tick) => {
      const at = round(x.place(tick));
      return `<line class="tick" x1="${at}" x2="${at}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM + 5}"/><text x="${at}" y="${HEIGHT - BOTTOM + 18}" text-anchor="middle">${escape(chart.formatX(tick))}</text>`;
    }),
    `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>`,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escape(chart.xLabel)}</text>`,
  ];
  const lines = chart.series.map((series) => {
    const path = series.points.map(([px, py]) => `${round(x.place(px))},${round(y.place(py))}`).join(' ');
    const dots = chart.dots
      ? series.points.map(([px, py]) => {
          const tip = `${series.label}: ${chart.formatX(px)}, ${chart.formatY(py)}`;
          return `<circle class="dot c${series.color}" cx="${round(x.place(px))}" cy="${round(y.place(py))}" r="3.5"><title>${escape(tip)}</title></circle>`;
        })
      : [];
    return `<polyline class="line c${series.color}" points="${path}"><title>${escape(series.label)}</title></polyline>${dots.join('')}`;
  });
  const description = `${chart.title}: ${chart.yLabel} by ${chart.xLabel}`;
  return `<figure><figcaption>${escape(chart.title)} <span>${escape(chart.yLabel)}</span></figcaption>${legend(chart.series)}
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(description)}">${grid.join('')}${lines.join('')}</svg></figure>`;
}

/** Names beside their colours. */
export function legend(entries: readonly { readonly label: string; readonly color: number }[]): string {
  const items = entries.map(({ label, color }) => `<li><i class="swatch c${color}"></i>${escape(label)}</li>`);
  return `<ul class="legend">${items.join('')}</ul>`;
}

/** A coordinate with one decimal: enough for the eye, short in the file. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function axis(values: readonly number[], isLog: boolean, from: number, to: number): Scale {
  const most = Math.max(...values);
  if (!isLog) return linearScale(most, from, to);
  const positive = values.filter((value) => value > 0);
  return logScale(positive.length === 0 ? 1 : Math.min(...positive), Math.max(most, 1), from, to);
}

function niceStep(rough: number): number {
  if (!(rough > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((candidate) => candidate * power >= rough * (1 - 1e-9)) ?? 10;
  return factor * power;
}
