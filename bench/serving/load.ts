// A small closed-loop HTTP client on keep-alive connections, the same for everything that is compared.

import { Agent, request } from 'node:http';

/** One request to be sent again and again. */
export interface Shot {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** One inference of a model by the Open Inference Protocol, FP32 data of that shape as a binary tensor both ways. */
export function binaryShot(url: string, name: string, shape: readonly number[], data: Float32Array): Shot {
  const header = JSON.stringify({
    inputs: [{ name: 'input', shape, datatype: 'FP32', parameters: { binary_data_size: data.byteLength } }],
    parameters: { binary_data_output: true },
  });
  const body = Buffer.concat([Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
  return {
    url: new URL(`${url}/v2/models/${name}/infer`),
    headers: { 'content-type': 'application/octet-stream', 'inference-header-content-length': String(header.length) },
    body,
  };
}

/** Sends one request; resolves with the answer's bytes, rejects if the status is not 200. */
export function shoot(agent: Agent, shot: Shot): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      shot.url,
      { agent, method: 'POST', headers: { ...shot.headers, 'content-length': shot.body.byteLength } },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          const bytes = Buffer.concat(parts);
          if (answer.statusCode === 200) resolve(bytes);
          else reject(new Error(`${shot.url.href} answered ${answer.statusCode}: ${bytes.toString().slice(0, 300)}`));
        });
        answer.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(shot.body);
  });
}

/** Requests answered per second by `clients` that send one after the other for `seconds`, or until so many are answered. */
export async function throughput(
  agent: Agent,
  shot: Shot,
  clients: number,
  seconds: number,
  calls = Infinity,
): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  let answered = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < endMs && answered < calls) {
      await shoot(agent, shot);
      answered++;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return answered / ((performance.now() - startMs) / 1000);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))]!;
}
