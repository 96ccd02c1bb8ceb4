// What every device did and when, as rows and as the CSV of `--timeline`.

import type { Observer, Workload } from './types.ts';

/** One thing a device did; times in milliseconds, an eviction takes none. */
export interface TimelineRow {
  readonly device: number;
  readonly kind: 'load' | 'run' | 'evict';
  readonly model: string;
  /** Rows of the input: of a run all its requests, of a load the one it was started for (or none). */
  readonly requests: readonly number[];
  readonly startMs: number;
  readonly endMs: number;
}

/** First line of the CSV. */
export const TIMELINE_HEADER = 'device,kind,model,request,start_ms,end_ms';

/** One line of the CSV; a batch's requests are joined by `+`. */
export function timelineLine(row: TimelineRow): string {
  return `${row.device},${row.kind},${quoted(row.model)},${row.requests.join('+')},${row.startMs},${row.endMs}`;
}

/** An observer that hands each row to `emit`, in order of time. */
export function timelineObserver(workload: Workload, emit: (row: TimelineRow) => void): Observer {
  const names = workload.models.map((model) => model.id);
  const inputRow = (request: number): number => workload.rows?.[request] ?? request;
  return {
    load(device, model, request, startMs, endMs) {
      const requests = request === null ? [] : [inputRow(request)];
      emit({ device, kind: 'load', model: names[model]!, requests, startMs, endMs });
    },
    run(device, model, requests, startMs, endMs) {
      emit({ device, kind: 'run', model: names[model]!, requests: requests.map(inputRow), startMs, endMs });
    },
    evict(device, model, atMs) {
      emit({ device, kind: 'evict', model: names[model]!, requests: [], startMs: atMs, endMs: atMs });
    },
  };
}

function quoted(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
