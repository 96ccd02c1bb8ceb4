// HTTP alone: a bare node:http server that reads the body and answers with a few bytes. What any server in Node pays.
//   node bench/serving/sink-server.ts    prints its URL

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const ANSWER = Buffer.alloc(64);
const server = createServer((request, response) => {
  request.on('data', () => undefined);
  request.on('end', () => response.end(ANSWER));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
process.on('disconnect', () => process.exit(0));
