// The device nodes of NVIDIA's driver: a card can be there and its program missing, or the other way round, in containers
// above all.

import { accessSync, constants, existsSync, readdirSync } from 'node:fs';

const CARD = /^nvidia\d+$/;

function nodesIn(folder: string): string[] {
  if (process.platform !== 'linux') return [];
  try {
    return readdirSync(folder).filter((name) => CARD.test(name) || name === 'nvidiactl' || name === 'nvidia-uvm');
  } catch {
    return [];
  }
}

/** True if the driver has made nodes of cards for this system. */
export function hasCardNodes(folder = '/dev'): boolean {
  return nodesIn(folder).some((name) => CARD.test(name));
}

/**
 * Nodes that a CUDA process must open and this user can't. Numbers of nodes are not those of cards, and `nvidia-uvm` is
 * made by the first process that may: only what is there and closed counts, and what every process needs.
 */
export function closedDeviceNodes(folder = '/dev'): string[] {
  const nodes = nodesIn(folder);
  // In the Windows Subsystem for Linux there is another one, and none of these.
  if (process.platform !== 'linux' || (nodes.length === 0 && existsSync(`${folder}/dxg`))) return [];
  const needed = nodes.includes('nvidiactl') ? nodes : [...nodes, 'nvidiactl'];
  return needed
    .map((name) => `${folder}/${name}`)
    .filter((path) => {
      try {
        accessSync(path, constants.R_OK | constants.W_OK);
        return false;
      } catch {
        return true;
      }
    });
}
