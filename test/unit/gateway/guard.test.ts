// Who may come in: Host and Origin on loopback, the token, and every other address.

import { describe, expect, test } from 'vitest';
import { createGuard, isLoopbackHost } from '../../../src/gateway/guard.ts';
import { AUTHORIZED, echoFunction, gatewayWith, TOKEN } from '../../helpers/gateway.ts';

describe('Host', () => {
  test.each(['localhost', 'localhost:8080', '127.0.0.1:1', '[::1]:8080', '192.168.1.5', 'app.localhost', 'LOCALHOST'])(
    '%s is one of ours',
    async (host) => {
      const { app } = await gatewayWith([]);
      expect((await app.inject({ url: '/healthz', headers: { host } })).statusCode).toBe(200);
    },
  );

  test.each(['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b', 'user@localhost', 'gpufaas'])(
    '"%s" is refused',
    async (host) => {
      const { app } = await gatewayWith([]);
      const answer = await app.inject({ url: '/healthz', headers: { host } });
      expect(answer.statusCode).toBe(403);
      expect(answer.json().code).toBe('FORBIDDEN_ORIGIN');
    },
  );

  test('none at all is refused', () => {
    const guard = createGuard({ token: TOKEN, host: '127.0.0.1', allowedHosts: [] });
    expect(() => guard.check({}, 'open')).toThrow('Host');
    expect(() => guard.check({ host: '' }, 'open')).toThrow('Host');
  });

  test('is looked at each time it differs from the one before', () => {
    const guard = createGuard({ token: TOKEN, host: '127.0.0.1', allowedHosts: [] });
    for (let round = 0; round < 2; round++) {
      guard.check({ host: 'localhost' }, 'open');
      guard.check({ host: 'localhost' }, 'open');
      expect(() => guard.check({ host: 'evil.example' }, 'open')).toThrow('Host');
      expect(() => guard.check({ host: 'evil.example' }, 'open')).toThrow('Host');
      expect(() => guard.check({}, 'open')).toThrow('Host');
    }
  });

  test('names can be allowed', async () => {
    const { app } = await gatewayWith([], { allowedHosts: ['GPU.example'] });
    expect((await app.inject({ url: '/healthz', headers: { host: 'gpu.example:80' } })).statusCode).toBe(200);
  });
});

describe('Origin', () => {
  const ask = async (headers: Record<string, string>) => {
    const { app, platform } = await gatewayWith([echoFunction]);
    const { statusCode } = await app.inject({ method: 'POST', url: '/function/echo', headers });
    return { statusCode, reached: platform.refusals.length };
  };

  test.each(['http://evil.example', 'https://localhost.evil.example', 'null', 'file://', 'nonsense'])(
    '%s is refused before anything is read',
    async (origin) => {
      expect(await ask({ origin })).toEqual({ statusCode: 403, reached: 0 });
    },
  );

  test('a page of this machine may call', async () => {
    expect((await ask({ origin: 'http://localhost:3000' })).statusCode).toBe(400);
    expect((await ask({ origin: 'http://127.0.0.1' })).statusCode).toBe(400);
  });

  test('what a browser marks as cross-site is refused even without an origin', async () => {
    expect((await ask({ 'sec-fetch-site': 'cross-site' })).statusCode).toBe(403);
    expect((await ask({ 'sec-fetch-site': 'same-origin' })).statusCode).toBe(400);
  });
});

describe('the token on loopback', () => {
  const free = [
    ['GET', '/healthz'],
    ['GET', '/metrics'],
    ['GET', '/v2'],
    ['GET', '/openapi.json'],
    ['GET', '/api/v1/status'],
    ['GET', '/api/v1/ps'],
    ['GET', '/api/v1/functions'],
    ['GET', '/api/v1/functions/echo'],
    ['GET', '/api/v1/devices'],
    ['GET', '/api/v1/models'],
    ['GET', '/system/functions'],
    ['GET', '/system/info'],
    ['POST', '/v2/repository/models/echo/load'],
    ['POST', '/v2/repository/models/echo/unload'],
  ] as const;
  const guarded = [
    ['POST', '/api/v1/functions'],
    ['DELETE', '/api/v1/functions/echo'],
    ['POST', '/api/v1/functions/echo/rollback'],
    ['POST', '/api/v1/functions/echo/load'],
    ['POST', '/api/v1/functions/echo/unload'],
    ['POST', '/api/v1/functions/echo/pin'],
    ['GET', '/api/v1/functions/echo/logs'],
    ['GET', '/api/v1/invocations'],
    ['GET', '/api/v1/invocations/x'],
    ['GET', '/api/v1/events'],
    ['POST', '/api/v1/shutdown'],
    ['POST', '/api/v1/devices/x/unplug'],
    ['DELETE', '/api/v1/models/x'],
    ['DELETE', '/system/functions'],
    ['POST', '/system/scale-function/echo'],
    ['GET', '/system/logs?name=echo'],
  ] as const;

  test.each(free)('%s %s needs none', async (method, url) => {
    const { app } = await gatewayWith([echoFunction]);
    expect((await app.inject({ method, url })).statusCode).toBe(200);
  });

  test.each(guarded)('%s %s needs it', async (method, url) => {
    const { app, platform } = await gatewayWith([echoFunction]);
    for (const authorization of [undefined, 'Bearer wrong', `Bearer ${TOKEN}x`, TOKEN, 'Bearer', 'Basic !!!']) {
      const headers = authorization === undefined ? {} : { authorization };
      const answer = await app.inject({ method, url, headers });
      expect(answer.statusCode).toBe(401);
      expect(answer.headers['www-authenticate']).toContain('Bearer');
    }
    expect(platform.asked).toEqual([]);
    expect(platform.function('echo')).toBeDefined();
  });

  test('the OpenFaaS command line sends it as a password', () => {
    const guard = createGuard({ token: TOKEN, host: '127.0.0.1', allowedHosts: [] });
    expect(guard.carriesToken(`Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`)).toBe(true);
    expect(guard.carriesToken(`Basic ${Buffer.from('admin:other').toString('base64')}`)).toBe(false);
  });

  test('an empty token opens nothing', () => {
    const guard = createGuard({ token: '', host: '127.0.0.1', allowedHosts: [] });
    expect(guard.carriesToken('Bearer ')).toBe(false);
  });
});

describe('any other address', () => {
  test.each([
    ['POST', '/function/echo'],
    ['POST', '/v2/models/echo/infer'],
    ['GET', '/v2/health/live'],
    ['GET', '/metrics'],
    ['GET', '/healthz'],
    ['GET', '/api/v1/status'],
    ['POST', '/v2/repository/models/echo/load'],
    ['GET', '/no/such/address'],
  ] as const)('%s %s needs the token', async (method, url) => {
    const { app } = await gatewayWith([echoFunction], { host: '0.0.0.0' });
    expect((await app.inject({ method, url })).statusCode).toBe(401);
    expect((await app.inject({ method, url, headers: AUTHORIZED })).statusCode).not.toBe(401);
  });

  test('is still protected against names that were rebound', async () => {
    const { app } = await gatewayWith([], { host: '0.0.0.0' });
    const headers = { ...AUTHORIZED, host: 'evil.example' };
    expect((await app.inject({ url: '/healthz', headers })).statusCode).toBe(403);
    const container = { ...AUTHORIZED, host: 'gpufaas:8080' };
    expect((await app.inject({ url: '/healthz', headers: container })).statusCode).toBe(200);
  });
});

test('loopback is known by name and by address', () => {
  const yes = ['127.0.0.1', '127.1.2.3', '::1', '[::1]', 'localhost', 'a.localhost', '::ffff:127.0.0.1'];
  const no = ['0.0.0.0', '::', '192.168.0.1', 'example.com', '127.0.0.1.example.com', ''];
  expect(yes.map(isLoopbackHost)).toEqual(yes.map(() => true));
  expect(no.map(isLoopbackHost)).toEqual(no.map(() => false));
});
