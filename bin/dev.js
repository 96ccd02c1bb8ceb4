#!/usr/bin/env node
// The same command from source, by type stripping: no build in between. Needs Node 24.

import { runCommandLine } from '../src/cli/main.ts';

await runCommandLine(process.argv.slice(2));
