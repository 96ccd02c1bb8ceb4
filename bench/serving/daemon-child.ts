// A daemon in a process of its own for a benchmark: argument is its home; prints its URL.

import { startDaemon } from '../../src/daemon/daemon.ts';
import { resolveHome } from '../../src/home.ts';

const daemon = await startDaemon({
  home: resolveHome({ GPUFAAS_HOME: process.argv[2]! }),
  devices: 'cpu:1@4GB',
  port: 0,
});
console.log(daemon.url);
process.once('SIGTERM', () => void daemon.close(0).then(() => process.exit(0)));
process.on('disconnect', () => void daemon.close(0).then(() => process.exit(0)));
