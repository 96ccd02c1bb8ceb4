// HTTP by hand over a socket, for what no client library would send: slow, cut and broken requests.

import { connect } from 'node:net';
import type { Socket } from 'node:net';

/** A connection that collects what comes back. */
export class RawConnection {
  readonly socket: Socket;
  #received = '';

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.#received += text;
    });
    this.socket.on('error', () => {});
  }

  /** Everything that came so far. */
  get received(): string {
    return this.#received;
  }

  /** The status of each answer so far. */
  get statuses(): number[] {
    return [...this.#received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
  }

  /** Sends a request's head, and what of its body is given. */
  send(method: string, path: string, headers: Readonly<Record<string, string | number>> = {}, body = ''): void {
    const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  }

  /** Resolves when the other side has closed. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.socket.readableEnded || this.socket.destroyed) resolve();
      this.socket.once('end', () => resolve());
      this.socket.once('close', () => resolve());
    });
  }
}
