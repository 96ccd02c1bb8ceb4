import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { GpufaasError } from '../../../src/errors.ts';
import { manifestJsonSchema } from '../../../src/functions/manifest-schema.ts';
import { parseManifest } from '../../../src/functions/manifest.ts';

const parse = (yaml: string) => parseManifest(yaml, { source: 'function.yaml' });

function failure(yaml: string): GpufaasError {
  try {
    parse(yaml);
  } catch (error) {
    if (error instanceof GpufaasError) return error;
    throw error;
  }
  throw new Error('the manifest was accepted');
}

const MINIMAL = 'name: digits\nmodels:\n  m: { path: m.onnx }\n';

describe('a manifest', () => {
  it('with every key is read into milliseconds and bytes', () => {
    const manifest = parse(`
name: digits
description: Reads one handwritten digit
handler: handler.ts
models:
  classifier: { path: ./model/digits.onnx }
  far: { url: "hf://owner/repo/model.onnx", sha256: ${'a'.repeat(64)}, sessionOptions: { graphOptimizationLevel: basic, extra: { session: { disable_prepacking: "1" } } } }
timeout: 30s
concurrency: 4
maxBody: 2MB
priority: high
keepAlive: pinned
batching: { maxSize: 8, maxDelay: 2ms }
deadline: 500ms
environment: { TOP_K: "3" }
secrets: [api-key]
sample: samples/seven.png
`);
    expect(manifest).toEqual({
      name: 'digits',
      description: 'Reads one handwritten digit',
      handler: 'handler.ts',
      models: {
        classifier: { path: 'model/digits.onnx' },
        far: {
          url: 'hf://owner/repo/model.onnx',
          sha256: 'a'.repeat(64),
          sessionOptions: { graphOptimizationLevel: 'basic', extra: { session: { disable_prepacking: '1' } } },
        },
      },
      timeoutMs: 30_000,
      concurrency: 4,
      maxBodyBytes: 2_000_000,
      priority: 'high',
      keepAliveMs: null,
      batching: { maxSize: 8, maxDelayMs: 2 },
      deadlineMs: 500,
      environment: { TOP_K: '3' },
      secrets: ['api-key'],
      sample: 'samples/seven.png',
    });
  });

  it('with only what is needed gets the defaults of the contract', () => {
    expect(parse(MINIMAL)).toEqual({
      name: 'digits',
      description: '',
      handler: null,
      models: { m: { path: 'm.onnx' } },
      timeoutMs: 30_000,
      concurrency: 8,
      maxBodyBytes: 16_000_000,
      priority: 'normal',
      keepAliveMs: 600_000,
      batching: null,
      deadlineMs: null,
      environment: {},
      secrets: [],
      sample: null,
    });
  });

  it.each([
    ['an unknown key', `${MINIMAL}tiemout: 3s\n`, /tiemout .* did you mean timeout\?/],
    ['an unknown key of a model', 'name: a\nmodels: { m: { pth: x.onnx } }\n', /models\.m\.pth .* did you mean path\?/],
    ['a key cut short', `${MINIMAL}env: { A: b }\n`, /env is not a key .* did you mean environment\?/],
    ['a key like no other', `${MINIMAL}zebra: 1\n`, /zebra is not a key .* expected one of name,/],
    ['no name', 'models: { m: { path: m.onnx } }\n', /name is missing; expected 1 to 63 lower-case/],
    ['a number for a duration', `${MINIMAL}timeout: 30\n`, /timeout: expected text, got the number 30\. .*30s/],
    [
      'a duration of no unit',
      `${MINIMAL}timeout: "30"\n`,
      /timeout: "30" is not a duration\. Write a number with a unit/,
    ],
    ['a duration too long', `${MINIMAL}timeout: 25h\n`, /timeout must be from 1ms to 24h, not 25h\./],
    [
      'a number for a variable',
      `${MINIMAL}environment: { TOP_K: 3 }\n`,
      /environment\.TOP_K: expected text, got the number 3\. Put it in quotes: "3"/,
    ],
    ['text for a number', `${MINIMAL}concurrency: many\n`, /concurrency: expected a whole number, got "many"/],
    [
      'a fraction for a count',
      `${MINIMAL}concurrency: 1.5\n`,
      /concurrency: expected a whole number, got the number 1\.5/,
    ],
    ['a number too large', `${MINIMAL}concurrency: 5000\n`, /concurrency: expected at most 1024, got the number 5000/],
    [
      'a switch that is none',
      `${MINIMAL}batching: true\n`,
      /batching: expected false, or a mapping of keys to values, got true/,
    ],
    [
      'a batch of none',
      `${MINIMAL}batching: { maxSize: 0, maxDelay: 2ms }\n`,
      /batching\.maxSize: expected at least 1, got/,
    ],
    [
      'a delay of no unit',
      `${MINIMAL}batching: { maxSize: 8, maxDelay: 2 }\n`,
      /batching\.maxDelay: expected text, .*2ms/,
    ],
    ['another word', `${MINIMAL}priority: urgent\n`, /priority: expected one of low, normal, high, got "urgent"/],
    [
      'a list for a mapping',
      'name: a\nmodels: [m.onnx]\n',
      /models: expected a mapping of names to values, got a list/,
    ],
    [
      'text for a model',
      'name: a\nmodels: { m: m.onnx }\n',
      /models\.m: expected a mapping of keys to values, got "m\.onnx"/,
    ],
    ['nothing for a list', `${MINIMAL}secrets:\n`, /secrets: expected a list, got nothing/],
    ['a path that leads out', 'name: a\nmodels: { m: { path: ../m.onnx } }\n', /models\.m\.path must be a path inside/],
    ['an absolute path', `${MINIMAL}sample: /etc/passwd\n`, /sample must be a path inside .* absolute/],
    ['a model without a place', 'name: a\nmodels: { m: {} }\n', /models\.m needs a path/],
    [
      'a url without its hash',
      'name: a\nmodels: { m: { url: "https://x.org/m.onnx" } }\n',
      /models\.m has a url without its sha256/,
    ],
    [
      'plain http to elsewhere',
      `name: a\nmodels: { m: { url: "http://x.org/m", sha256: ${'a'.repeat(64)} } }\n`,
      /models\.m\.url: expected an https/,
    ],
    ['a bad model name', 'name: a\nmodels: { "a.b": { path: m.onnx } }\n', /models: "a\.b" can not be a name there/],
    ['neither model nor handler', 'name: a\n', /a function needs a model, a handler, or both/],
    ['a handler of another language', `${MINIMAL}handler: main.py\n`, /handler must end in \.ts/],
    [
      'a variable that changes Node',
      `${MINIMAL}environment: { NODE_OPTIONS: "-r x" }\n`,
      /environment\.NODE_OPTIONS is reserved/,
    ],
    [
      'a session option that writes files',
      'name: a\nmodels: { m: { path: m.onnx, sessionOptions: { optimizedModelFilePath: /x } } }\n',
      /optimizedModelFilePath is not a key/,
    ],
    [
      'a session entry that reads files',
      'name: a\nmodels: { m: { path: m.onnx, sessionOptions: { extra: { session: { optimized_model_file: x } } } } }\n',
      /"optimized_model_file" can not be a name there/,
    ],
    ['broken YAML', 'name: [a\nmodels: {', /is not valid YAML: .* line 1|2/],
    ['a key twice', `${MINIMAL}name: b\n`, /Map keys must be unique at line 4/],
    ['a model that is to stay for ever', `${MINIMAL}keepAlive: forever\n`, /is not a duration\..* Or write pinned\./],
    ['a list', '- a\n', /must be a mapping/],
    ['nothing', '', /must be a mapping/],
  ])('with %s is refused and says where', (_, yaml, message) => {
    const error = failure(yaml);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^function\.yaml: /);
    expect(error.message).not.toContain('\n');
    expect(error.code).toBe('BAD_MANIFEST');
  });

  it('can refuse batching', () => {
    expect(parse(`${MINIMAL}batching: false\n`).batching).toBe(false);
  });

  it('does not call missing what is misspelt', () => {
    const error = failure('name: a\nhandlr: h.ts\n');
    expect([error.message, ...error.suggestions].join('\n')).not.toMatch(/models/);
  });

  it('tells all that is wrong at once', () => {
    const error = failure('name: a\ntimeot: 3s\nconcurrency: x\nmodels: { m: { path: m.onnx } }\n');
    expect([error.message, ...error.suggestions].join('\n')).toMatch(/concurrency[\s\S]*timeot/);
  });

  it.each(['../a', 'a\0b', 'Größe', 'UPPER', 'a'.repeat(10_000), '-a', 'a_b', ''])('refuses the name %j', (name) => {
    const error = failure(`name: ${JSON.stringify(name)}\nmodels: { m: { path: m.onnx } }\n`);
    expect(error.code).toBe('BAD_NAME');
    expect(error.message.length).toBeLessThan(300);
  });

  it('is not swelled by aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    );
    expect(failure(`l0: &l0 [x]\n${levels.join('\n')}\n`).message).toMatch(/aliases/);
  });

  it('has a published JSON schema that is current', () => {
    const published = readFileSync(new URL('../../../schema/function.schema.json', import.meta.url), 'utf8');
    expect(published).toBe(manifestJsonSchema());
  });
});
