// The secrets in this home. They are a file and no business of the network: a daemon elsewhere has its own.

import type { SecretStore } from '../functions/secrets.ts';
import { GpufaasError } from '../errors.ts';
import { createHome, type Home } from '../home.ts';

/** The store of the home's daemon, running or not. Throws USAGE if the environment names a daemon by its address. */
export async function localSecrets(home: Home): Promise<SecretStore> {
  if (process.env['GPUFAAS_URL']) {
    throw new GpufaasError('USAGE', 'Secrets are set on the machine of the daemon, not over the network.', {
      suggestions: ['Run this there, or unset GPUFAAS_URL to set those of the daemon of this machine.'],
    });
  }
  createHome(home);
  const { createSecretStore } = await import('../functions/secrets.ts');
  return createSecretStore(home.secrets);
}
