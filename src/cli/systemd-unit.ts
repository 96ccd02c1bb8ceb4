// The systemd unit that runs the daemon.

import { DAEMON_NODE_FLAGS } from '../node-flags.ts';

/** What the unit names, as absolute paths. */
export interface UnitPaths {
  readonly node: string;
  readonly program: string;
  readonly home: string;
}

/** A user unit: restarts after a failure, and gives calls under way their time to finish. */
export function renderUnit({ node, program, home }: UnitPaths): string {
  return `[Unit]
Description=gpufaas: serverless ML inference on this machine
After=network.target

[Service]
ExecStart=${quoted(node)} ${DAEMON_NODE_FLAGS.join(' ')} ${quoted(program)} serve --drain 30s
Environment=${quoted(`GPUFAAS_HOME=${home}`)}
Restart=on-failure
RestartSec=2
# serve drains for 30 s before it ends.
TimeoutStopSec=60
KillMode=mixed

[Install]
WantedBy=default.target
`;
}

/** systemd splits at spaces and expands % and $. */
function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('%', '%%').replaceAll('$', '$$$$')}"`;
}
