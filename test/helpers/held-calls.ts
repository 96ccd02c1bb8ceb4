// A function whose call is under way until the test answers it: its handler asks a server of the test.

import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export class HeldCalls {
  readonly #server = createServer((_request, response) => this.#begin(response));
  readonly #begun = Promise.withResolvers<void>();
  #response: ServerResponse | null = null;

  /** Resolves when a handler waits. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** The folder of the function `held`, made in this one. */
  async functionIn(parent: string): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const { port } = this.#server.address() as AddressInfo;
    const folder = join(parent, 'held');
    mkdirSync(folder);
    writeFileSync(join(folder, 'function.yaml'), 'name: held\nhandler: handler.js\n');
    writeFileSync(
      join(folder, 'handler.js'),
      `export default async () => (await fetch('http://127.0.0.1:${port}')).text();\n`,
    );
    return folder;
  }

  answer(text: string): void {
    this.#response?.end(text);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #begin(response: ServerResponse): void {
    this.#response = response;
    this.#begun.resolve();
  }
}
