// Runs and their answers as messages of a lane. From one run of a model to the next only numbers change: what repeats (the
// model, the names, types and shapes of its tensors) is sent as JSON once, and a flag says so afterwards.
//
// Layout, little endian: kind u8 · flags u8 · placed lengths u16 · slot u32 · call f64 · number f64 (of a run: its instance, of
// an answer: its milliseconds) | placed lengths u32 each | what repeats (JSON, UTF-8), if it changed.

import type { FromWorker, TensorHead, ToWorker } from './protocol.ts';
import type { Message, MessageCodec } from './transport.ts';

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
  encode(message: Message): Buffer | null {
    switch (message['type']) {
      case 'run': {
        const { call, model, instance, inputs, slot, placed } = message as unknown as Run;
        return this.#pack(RUN, call, instance ?? 0, instance === null ? 0 : INSTANCE, slot, placed, model, inputs);
      }
      case 'ran': {
        const { call, runMs, outputs, placed } = message as unknown as Ran;
        return this.#pack(RAN, call, runMs, 0, null, placed, null, outputs);
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
  ): Buffer | null {
    const count = placed?.length ?? 0;
    if (count > MOST_PLACED) return null;
    let flags = flag;
    let sent = this.#sent;
    let repeated = '';
    if (sent === null || sent.model !== model || !equal(sent.heads, heads)) {
      // Shapes of its own: what it is compared to must be what was sent.
      sent = { model, heads: heads.map((head) => ({ ...head, shape: [...head.shape] })) };
      repeated = JSON.stringify(sent);
      flags |= CHANGED;
    }
    if (placed !== null) flags |= PLACED;
    if (slot !== null) flags |= SLOT;
    const headBytes = FIXED_BYTES + 4 * count;
    const bytes = Buffer.allocUnsafe(headBytes + (repeated === '' ? 0 : Buffer.byteLength(repeated)));
    bytes[0] = kind;
    bytes[1] = flags;
    bytes.writeUInt16LE(count, 2);
    bytes.writeUInt32LE(slot ?? 0, 4);
    bytes.writeDoubleLE(call, 8);
    bytes.writeDoubleLE(number, 16);
    for (let index = 0; index < count; index++) bytes.writeUInt32LE(placed![index]!, FIXED_BYTES + 4 * index);
    if (repeated !== '') bytes.write(repeated, headBytes);
    this.#sent = sent;
    return bytes;
  }

  /** The message in these bytes; throws if they are none. */
  decode(bytes: Buffer, from: number, to: number): Message {
    const flags = bytes[from + 1]!;
    const count = bytes.readUInt16LE(from + 2);
    const headEnd = from + FIXED_BYTES + 4 * count;
    if (headEnd > to) throw new RangeError('cut off');
    const call = bytes.readDoubleLE(from + 8);
    const number = bytes.readDoubleLE(from + 16);
    if ((flags & CHANGED) !== 0) this.#received = JSON.parse(bytes.toString('utf8', headEnd, to)) as Repeated;
    const repeated = this.#received;
    if (repeated === null) throw new TypeError('it repeats what never came');
    let placed: number[] | null = null;
    if ((flags & PLACED) !== 0) {
      placed = [];
      for (let at = from + FIXED_BYTES; at < headEnd; at += 4) placed.push(bytes.readUInt32LE(at));
    }
    if (bytes[from] === RAN) {
      return { type: 'ran', call, outputs: repeated.heads, placed, runMs: number } satisfies Ran;
    }
    if (bytes[from] !== RUN) throw new TypeError('it is of no kind');
    return {
      type: 'run',
      call,
      model: repeated.model!,
      instance: (flags & INSTANCE) === 0 ? null : number,
      inputs: repeated.heads,
      slot: (flags & SLOT) === 0 ? null : bytes.readUInt32LE(from + 4),
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
