// `npm start`: from a bare clone to a real answer of a real model. Installs, builds, starts the daemon in the background,
// makes and deploys the function `digits` in ./demo, calls it twice. Can be run again at any time.

import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, install, main, node, root, run, say } from './setup.mjs';

const demo = join('demo', 'digits');
const program = join(root, 'bin', 'run.js');
/** What the commands suggest is to be typed as it is shown here: through npx. */
const env = { npm_command: 'exec' };

/** Runs a command of gpufaas, shown as a user would type it. */
async function gpufaas(...args) {
  console.log();
  say(`$ npx gpufaas ${args.join(' ')}`);
  await run(node(), [program, ...args], { env });
}

async function isResident(name) {
  const { devices } = JSON.parse(await run(node(), [program, 'ps', '--json'], { keep: true }));
  return devices.some((device) => device.resident.some((model) => model.functions.includes(name)));
}

async function start() {
  await install();
  await build();
  await gpufaas('up');
  if (!existsSync(join(root, demo, 'function.yaml'))) {
    mkdirSync(join(root, 'demo'), { recursive: true });
    console.log();
    say('$ npx gpufaas init digits --template digits   (in ./demo)');
    await run(node(), [program, 'init', 'digits', '--template', 'digits'], { cwd: join(root, 'demo'), env });
  }
  await gpufaas('deploy', demo);
  // Left on a device by an earlier `npm start`; the first call is to show what a load costs.
  if (await isResident('digits')) await gpufaas('unload', 'digits');
  const sample = /^sample:\s*(\S+)/m.exec(readFileSync(join(root, demo, 'function.yaml'), 'utf8'))[1];
  const picture = join(demo, sample);
  await gpufaas('invoke', 'digits', '-f', picture);
  await gpufaas('invoke', 'digits', '-f', picture);
  console.log(`
The first call had to load the model (MISS), the second found it on the device (HIT). The daemon goes on serving. Now try:

  npx gpufaas ps                        what is resident where
  npx gpufaas explain                   where the time of the last call went, and why on that device
  npx gpufaas init --list               other functions to start from
  npx gpufaas bench                     the scheduling policies side by side
  npx gpufaas down                      stop the daemon; what is deployed is kept`);
}

await main(start, 'Mend what is said above, then run `npm start` again: it goes on where it stopped.');
