// A daemon in a process of its own for a benchmark or a test:
//   node bench/daemon-child.ts HOME [DEVICES] [POLICY] [PORT]
// prints its URL and ends with its parent.

import { startDaemon } from '../src/daemon/daemon.ts';
import { resolveHome } from '../src/home.ts';

const [home, devices = 'cpu:1@4GB', policy, port = '0'] = process.argv.slice(2);
const daemon = await startDaemon({
  home: resolveHome({ GPUFAAS_HOME: home! }),
  devices,
  port: Number(port),
  ...(policy === undefined ? {} : { policy }),
});
console.log(daemon.url);
const end = (): void => void daemon.close(0).then(() => process.exit(0));
process.once('SIGTERM', end);
process.once('disconnect', end);
