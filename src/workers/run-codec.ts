// Runs and their answers as messages of a lane. From one run of a model to the next only numbers change: what repeats (the
// model, the names, types and shapes of its tensors) is sent as JSON once, and a flag says so afterwards.
//
// Layout, little endian: kind u8 · flags u8 · placed lengths u16 · slot u32 · call f64 · number f64 (of a run: its instance, of
// an answer: its milliseconds) | placed lengths u32 each | what repeats (JSON, UTF-8), if it changed.

import type { FromWorker, TensorHead, ToWorker } from './protocol.ts';
import { type Message, type MessageCodec, textOf } from './transport.ts';

type Run = Extract<ToWorker, { type: 'run' }>;
type Ran = Extract<FromWorker, { type: 'ran' }>;

const RUN = 1;
const RAN = 2;
const CHANGED = 1;
const PLACED = 2;
const SLOT = 4;
const INSTANCE = 8;
const FIXED_BYTES = 24;
const MOST_PLACED = 65_535;

/** What repeats; `model` is null in answers. */
interface Repeated {
  readonly model: string | null;
  readonly heads: readonly TensorHead[];
}

/** One end of one channel: remembers what was last sent and received there. */
export class RunCodec implements MessageCodec {
  #sent: Repeated | null = null;
  #received: Repeated | null = null;

  /** Null for all messages but runs and their answers. */
  encode(message: Message, before: number, behind: number): Buffer | null {
    switch (message['type']) {
      case 'run': {
        const { call, model, instance, inputs, slot, placed } = message as unknown as Run;
        const flag = instance === null ? 0 : INSTANCE;
        return this.#pack(RUN, call, instance ?? 0, flag, slot, placed, model, inputs, before, behind);
      }
      case 'ran': {
        const { call, runMs, outputs, placed } = message as unknown as Ran;
        return this.#pack(RAN, call, runMs, 0, null, placed, null, outputs, before, behind);
      }
      default:
        return null;
    }
  }

  forget(): void {
    this.#sent = null;
  }

  #pack(
    kind: number,
    call: number,
    number: number,
    flag: number,
    slot: number | null,
    placed: readonly number[] | null,
    model: string | null,
    heads: readonly TensorHead[],
    before: number,
    behind: number,
  ): Buffer | null {
    const count = placed?.length ?? 0;
    if (count > MOST_PLACED) return null;
    let flags = flag;
    let repeated = '';
    if (this.#sent === null || this.#sent.model !== model || !equal(this.#sent.heads, heads)) {
      // Shapes of its own: what it is compared to must be what was sent.
      this.#sent = { model, heads: heads.map((head) => ({ ...head, shape: [...head.shape] })) };
      repeated = JSON.stringify(this.#sent);
      flags |= CHANGED;
    }
    if (placed !== null) flags |= PLACED;
    if (slot !== null) flags |= SLOT;
    const headBytes = FIXED_BYTES + 4 * count;
    const repeatedBytes = repeated === '' ? 0 : Buffer.byteLength(repeated);
    const bytes = Buffer.allocUnsafe(before + headBytes + repeatedBytes + behind);
    const view = new DataView(bytes.buffer, bytes.byteOffset + before, headBytes);
    view.setUint8(0, kind);
    view.setUint8(1, flags);
    view.setUint16(2, count, true);
    view.setUint32(4, slot ?? 0, true);
    view.setFloat64(8, call, true);
    view.setFloat64(16, number, true);
    for (let index = 0; index < count; index++) view.setUint32(FIXED_BYTES + 4 * index, placed![index]!, true);
    if (repeated !== '') bytes.write(repeated, before + headBytes);
    return bytes;
  }

  /** The message in these bytes of the view; throws if they are none. */
  decode(view: DataView, from: number, to: number): Message {
    const kind = view.getUint8(from);
    const flags = view.getUint8(from + 1);
    const count = view.getUint16(from + 2, true);
    const headEnd = from + FIXED_BYTES + 4 * count;
    if (headEnd > to) throw new RangeError('cut off');
    const call = view.getFloat64(from + 8, true);
    const number = view.getFloat64(from + 16, true);
    if ((flags & CHANGED) !== 0) this.#received = JSON.parse(textOf(view, headEnd, to)) as Repeated;
    const repeated = this.#received;
    if (repeated === null) throw new TypeError('it repeats what never came');
    let placed: number[] | null = null;
    if ((flags & PLACED) !== 0) {
      placed = [];
      for (let at = from + FIXED_BYTES; at < headEnd; at += 4) placed.push(view.getUint32(at, true));
    }
    if (kind === RAN) {
      return { type: 'ran', call, outputs: repeated.heads, placed, runMs: number } satisfies Ran;
    }
    if (kind !== RUN) throw new TypeError('it is of no kind');
    return {
      type: 'run',
      call,
      model: repeated.model!,
      instance: (flags & INSTANCE) === 0 ? null : number,
      inputs: repeated.heads,
      slot: (flags & SLOT) === 0 ? null : view.getUint32(from + 4, true),
      placed,
    } satisfies Run;
  }
}

function equal(a: readonly TensorHead[], b: readonly TensorHead[]): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    const one = a[index]!;
    const other = b[index]!;
    if (one.name !== other.name || one.datatype !== other.datatype || one.shape.length !== other.shape.length)
      return false;
    for (let axis = 0; axis < one.shape.length; axis++) if (one.shape[axis] !== other.shape[axis]) return false;
  }
  return true;
}
