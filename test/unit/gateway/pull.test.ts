import { describe, expect, it } from 'vitest';
import { AUTHORIZED, gatewayWith } from '../../helpers/gateway.ts';

const url = '/api/v1/models/pull';
const sha256 = 'b'.repeat(64);

describe('pulling a model', () => {
  it('answers the progress and then the stored model, a line each', async () => {
    const { app, platform } = await gatewayWith([]);
    const payload = { url: 'https://example.com/m.onnx', sha256 };
    const answer = await app.inject({ method: 'POST', url, headers: AUTHORIZED, payload });
    expect(answer.statusCode).toBe(200);
    const lines = answer.body
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => line['type'])).toEqual(['step', 'done']);
    expect(lines[1]).toMatchObject({ result: { sha256 } });
    expect(platform.asked).toContain('pullModel https://example.com/m.onnx');
  });

  it('needs the token', async () => {
    const { app } = await gatewayWith([]);
    const answer = await app.inject({ method: 'POST', url, payload: { url: 'https://example.com/m.onnx' } });
    expect(answer.statusCode).toBe(401);
  });

  it('refuses a sha256 that is none', async () => {
    const { app } = await gatewayWith([]);
    const answer = await app.inject({
      method: 'POST',
      url,
      headers: AUTHORIZED,
      payload: { url: 'https://e.com/m', sha256: 'x' },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ detail: 'body: sha256: not a sha256: 64 hexadecimal digits.' });
  });
});
