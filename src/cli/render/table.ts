// A plain table: columns as wide as their widest cell, numbers to the right, no lines. Readable by people and by awk.

import { stripVTControlCharacters, styleText } from 'node:util';

/** How one column is made from a row. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
}

/** The table as text, header included, without a newline at the end; no cell breaks the line. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map((column) => cleaned(column.value(row))));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => width(line[index]!))),
  );
  const renderLine = (line: readonly string[]) =>
    line
      .map((cell, index) => {
        const room = ' '.repeat(widths[index]! - width(cell));
        return columns[index]!.align === 'right' ? room + cell : cell + room;
      })
      .join('  ')
      .trimEnd();
  const header = styleText('dim', renderLine(columns.map((column) => column.title)), { stream: process.stdout });
  return [header, ...cells.map(renderLine)].join('\n');
}

/** Pairs of a name and a value, one a line, values aligned; pairs without a value are left out. */
export function renderPairs(pairs: readonly (readonly [string, string | null])[]): string {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== null);
  const widest = Math.max(...shown.map(([name]) => name.length));
  return shown
    .map(([name, value]) => `${styleText('dim', name.padEnd(widest), { stream: process.stdout })}  ${value}`)
    .join('\n');
}

function width(cell: string): number {
  return Array.from(stripVTControlCharacters(cell)).length;
}

function cleaned(cell: string): string {
  return cell.replace(/\s*[\r\n\t]+\s*/g, ' ');
}
