// Where the daemon listens, and how others find it.

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { GpufaasError } from '../errors.ts';
import type { Home } from '../home.ts';

export const DEFAULT_HOST = '127.0.0.1';
export const DEFAULT_PORT = 9420;

/** Listens where it was asked to; if no port was asked for and the default one is taken, on a free one. */
export async function listenSomewhere(
  gateway: FastifyInstance,
  host: string,
  port: number | undefined,
  onOtherPort: (taken: number) => void,
): Promise<string> {
  try {
    return await listen(gateway, host, port ?? DEFAULT_PORT);
  } catch (error) {
    if (port !== undefined || !(error instanceof GpufaasError) || error.code !== 'PORT_TAKEN') throw error;
    onOtherPort(DEFAULT_PORT);
    return await listen(gateway, host, 0);
  }
}

async function listen(gateway: FastifyInstance, host: string, port: number): Promise<string> {
  try {
    return await gateway.listen({ host, port });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      throw new GpufaasError('PORT_TAKEN', `Port ${port} on ${host} is taken by another program.`, {
        cause: error,
        suggestions: ['Choose another one with `--port N`, or `--port 0` for any that is free.'],
      });
    }
    if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
      throw new GpufaasError('USAGE', `Can not listen on ${host}:${port} (${code}).`, {
        cause: error,
        suggestions: ['Use an address of this machine and a port above 1023, such as `--host 127.0.0.1 --port 9420`.'],
      });
    }
    throw error;
  }
}

/** Leaves word for the command line where the daemon is; written beside and renamed, so that nobody reads half of it. */
export function writeDaemonFile(home: Home, content: Readonly<Record<string, unknown>>): void {
  const draft = `${home.daemonFile}.${process.pid}`;
  try {
    writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
    renameSync(draft, home.daemonFile);
  } finally {
    rmSync(draft, { force: true });
  }
}
