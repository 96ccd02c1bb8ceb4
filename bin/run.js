#!/usr/bin/env node
// The installed command. Old syntax on purpose: under an older Node it must still be able to say what to do.

import { existsSync } from 'node:fs';

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    'gpufaas needs Node.js 24 or newer, and this is ' +
      process.version +
      ': install it from https://nodejs.org, or use `npx gpufaas` inside a checkout after `npm start`.',
  );
  process.exit(1);
}

const main = new URL('../dist/cli/main.js', import.meta.url);
if (!existsSync(main)) {
  console.error('gpufaas is not built yet: run `npm start` (or `npm run build`) in its folder.');
  process.exit(1);
}
const { enableCompileCache } = await import('node:module');
enableCompileCache();
const { runCommandLine } = await import(main.href);
await runCommandLine(process.argv.slice(2));
