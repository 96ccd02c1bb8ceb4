import { describe, expect, it } from 'vitest';
import { renderUnit } from '../../../src/cli/systemd-unit.ts';

describe('the systemd unit', () => {
  it('names its paths so that systemd neither splits nor expands them', () => {
    const unit = renderUnit({ node: '/a b/node', program: '/p$x/run.js', home: '/h%/"q"' });
    expect(unit).toContain('ExecStart="/a b/node" --max-semi-space-size=8 "/p$$x/run.js" serve --drain 30s\n');
    expect(unit).toContain('Environment="GPUFAAS_HOME=/h%%/\\"q\\""\n');
  });
});
