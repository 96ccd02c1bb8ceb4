// --no-start, for the commands that otherwise start the daemon.

import * as Flags from '@oclif/core/flags';

/** `flags.start` is true unless --no-start is given. */
export const startFlag = {
  start: Flags.boolean({ description: 'start the daemon if none runs', default: true, allowNo: true }),
};
