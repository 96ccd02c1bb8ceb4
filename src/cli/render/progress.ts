// A line on stderr that says what is going on, rewritten in place. Only on a terminal; elsewhere it is silent.

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
const FRAME_MS = 80;

/** At most one line at a time; `clear` takes it away before anything else is written. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #shown = false;
  #drawnAtMs = 0;
  #frame = 0;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  /** Shows what is being done; called often, drawn at most every 80 ms. */
  show(message: string): void {
    if (!this.#stream.isTTY || Date.now() - this.#drawnAtMs < FRAME_MS) return;
    this.#drawnAtMs = Date.now();
    this.#frame = (this.#frame + 1) % FRAMES.length;
    const line = `${FRAMES[this.#frame]} ${message}`;
    this.#stream.write(`\r\x1b[K${line.slice(0, this.#stream.columns - 1)}`);
    this.#shown = true;
  }

  clear(): void {
    if (!this.#shown) return;
    this.#shown = false;
    this.#drawnAtMs = 0;
    this.#stream.write('\r\x1b[K');
  }
}
