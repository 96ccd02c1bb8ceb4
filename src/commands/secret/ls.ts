import { BaseCommand } from '../../cli/base-command.ts';
import { renderTable } from '../../cli/render/table.ts';
import { localSecrets } from '../../cli/secrets.ts';

export default class SecretLs extends BaseCommand {
  static override summary = 'List the names of the secrets';
  static override description = 'Names only; a value is never shown.';
  static override examples = [{ description: 'All secrets', command: '<%= config.bin %> secret ls' }];

  async run(): Promise<unknown> {
    await this.parse(SecretLs);
    const secrets = (await localSecrets(this.home)).list().map(({ name, updatedAtMs }) => ({
      name,
      updatedAt: new Date(updatedAtMs).toISOString(),
    }));
    if (secrets.length === 0) this.note('No secrets. Next: `gpufaas secret set NAME`');
    else {
      this.print(
        renderTable(secrets, [
          { title: 'NAME', value: (secret) => secret.name },
          { title: 'SET', value: (secret) => secret.updatedAt },
        ]),
      );
    }
    return secrets;
  }
}
