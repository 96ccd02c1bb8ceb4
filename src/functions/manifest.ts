// function.yaml: what may stand in it, checked with messages that name the place, and every default filled in.
// The JSON schema in schema/function.schema.json is made from the same description.

import { parseDocument } from 'yaml';
import { z } from 'zod';
import { GpufaasError } from '../errors.ts';
import { parseDuration, parseSize } from '../units.ts';
import { describeIssues } from './issues.ts';
import { pathProblem } from './paths.ts';
import type { Manifest, ManifestModel } from './types.ts';

/** What a function may be called; also how it is addressed by HTTP. */
const FUNCTION_NAME = /^[a-z][a-z0-9-]{0,62}$/;
const MODEL_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,62}$/;
/** What a secret may be called. */
export const SECRET_NAME = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
/** These change what Node or the dynamic linker do before a line of the handler runs. */
const RESERVED_VARIABLE = /^(NODE_|LD_|DYLD_|GPUFAAS_|ORT_)/;
const MAX_MANIFEST_BYTES = 256 * 1024;

/** A string that is read on the way in; its problem is told in the words of whoever reads it. */
function readAs<T>(read: (text: string) => T, check: (value: T) => string | null = () => null) {
  return z.string().transform((text, context) => {
    try {
      const value = read(text);
      const problem = check(value);
      if (problem === null) return value;
      context.addIssue({ code: 'custom', message: `${problem}, not ${text}` });
    } catch (error) {
      if (!(error instanceof GpufaasError)) throw error;
      context.addIssue({ code: 'custom', message: [error.message, ...error.suggestions].join(' ') });
    }
    return z.NEVER;
  });
}

const between =
  (least: number, most: number, words: string) =>
  (value: number): string | null =>
    value >= least && value <= most ? null : `must be from ${words}`;

const DAY_MS = 86_400_000;

function keepAliveOf(text: string): number | null {
  if (text === 'pinned') return null;
  try {
    return parseDuration(text);
  } catch (error) {
    if (!(error instanceof GpufaasError)) throw error;
    throw new GpufaasError(error.code, error.message, { suggestions: [...error.suggestions, 'Or write pinned.'] });
  }
}

const pathInside = readAs(
  (text) => (text.startsWith('./') ? text.slice(2) : text),
  (path) => {
    const problem = pathProblem(path);
    return problem === null ? null : `must be a path inside the function folder (it ${problem})`;
  },
);

const entries = (allowed: RegExp) => z.record(z.string().regex(allowed), z.string()).optional();

const sessionOptionsSchema = z
  .strictObject({
    graphOptimizationLevel: z.enum(['disabled', 'basic', 'extended', 'layout', 'all']).optional(),
    executionMode: z.enum(['sequential', 'parallel']).optional(),
    intraOpNumThreads: z.int().min(1).max(256).optional(),
    interOpNumThreads: z.int().min(1).max(256).optional(),
    enableCpuMemArena: z.boolean().optional(),
    enableMemPattern: z.boolean().optional(),
    freeDimensionOverrides: z.record(z.string(), z.int().min(1)).optional(),
    // Entries that write files, load libraries or read other paths are not the manifest's to set.
    extra: z
      .strictObject({
        session: entries(
          /^(disable_prepacking|set_denormal_as_zero|dynamic_block_base|intra_op\.\w+|inter_op\.\w+|use_device_allocator_for_initializers|enable_quant_qdq_cleanup|qdq_matmulnbits_accuracy_level)$/,
        ),
        optimization: entries(/^\w+$/),
        mlas: entries(/^\w+$/),
      })
      .optional(),
  })
  .describe('Session options handed to ONNX Runtime as they are.');

const modelSchema = z
  .strictObject({
    path: pathInside.optional().describe('The ONNX file, relative to this folder.'),
    url: z
      .string()
      .regex(/^(https:\/\/|hf:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/])\S+$/)
      .optional()
      .describe('Where the ONNX file is fetched from at deploy: https://… or hf://owner/repo/path.'),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .describe('The sha256 of what the url gives, in hex.'),
    sessionOptions: sessionOptionsSchema.optional(),
  })
  .superRefine((model, context) => {
    const problem =
      model.path === undefined && model.url === undefined
        ? 'needs a path (a file in this folder) or a url with its sha256'
        : model.path !== undefined && (model.url !== undefined || model.sha256 !== undefined)
          ? 'has a path and a url or sha256; give one of them'
          : model.url !== undefined && model.sha256 === undefined
            ? 'has a url without its sha256, so nobody could tell whether the right file arrived'
            : null;
    if (problem !== null) context.addIssue({ code: 'custom', message: problem, params: { missing: true } });
  });

/** function.yaml as its author writes it. */
export const manifestSchema = z
  .strictObject({
    name: z.string().regex(FUNCTION_NAME).describe('What the function is called; lower-case letters, digits and -.'),
    description: z.string().max(500).default('').describe('One sentence for people.'),
    handler: pathInside
      .optional()
      .describe('TypeScript or JavaScript file that answers calls. Without it: tensors in, tensors out.'),
    models: z
      .record(z.string().regex(MODEL_NAME), modelSchema)
      .prefault({})
      .describe('The models, by the names the handler uses.'),
    timeout: readAs(parseDuration, between(1, DAY_MS, '1ms to 24h'))
      .prefault('30s')
      .describe('How long one call may take, such as 30s.'),
    concurrency: z.int().min(1).max(1024).default(8).describe('Handler calls at once.'),
    maxBody: readAs(parseSize, between(1, 1e9, '1B to 1GB'))
      .prefault('16MB')
      .describe('The largest request body, such as 16MB.'),
    priority: z.enum(['low', 'normal', 'high']).default('normal').describe('Which calls go first when many wait.'),
    keepAlive: readAs(keepAliveOf, (ms) => (ms === null ? null : between(0, 365 * DAY_MS, '0 to 365d, or pinned')(ms)))
      .prefault('10m')
      .describe('How long a model stays when nothing else wants its memory, such as 10m; or pinned.'),
    batching: z
      .union([
        z.literal(false),
        z.strictObject({
          maxSize: z.int().min(1).max(1024).describe('The most rows in one run.'),
          maxDelay: readAs(parseDuration, between(0, 10_000, '0 to 10s')).describe(
            'The longest a call waits for companions, such as 2ms.',
          ),
        }),
      ])
      .optional()
      .describe(
        'Join calls along the batch axis. Without it: where deploy saw that each is answered as it is alone, and that it pays. false: never.',
      ),
    deadline: readAs(parseDuration, between(1, DAY_MS, '1ms to 24h'))
      .optional()
      .describe('The scheduler may refuse what it can not answer within this time, such as 500ms.'),
    environment: z
      .record(z.string().regex(VARIABLE_NAME), z.string().max(32_768))
      .prefault({})
      .describe('Environment variables of the handler; values are text.'),
    secrets: z
      .array(z.string().regex(SECRET_NAME))
      .max(64)
      .prefault([])
      .describe('Secrets the handler is given, by name (`gpufaas secret set`).'),
    sample: pathInside.optional().describe('A request body that deploy sends as a smoke test.'),
  })
  .superRefine((manifest, context) => {
    const issue = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (manifest.handler === undefined && Object.keys(manifest.models).length === 0) {
      const message = 'is empty, and there is no handler: a function needs a model, a handler, or both';
      context.addIssue({ code: 'custom', path: ['models'], message, params: { missing: true } });
    }
    if (manifest.handler !== undefined && !/\.(ts|mts|js|mjs|cjs)$/.test(manifest.handler)) {
      issue(['handler'], `must end in .ts, .mts, .js, .mjs or .cjs, not ${manifest.handler}`);
    }
    for (const key of Object.keys(manifest.environment)) {
      if (RESERVED_VARIABLE.test(key)) issue(['environment', key], 'is reserved; choose another name');
      if (manifest.environment[key]!.includes('\0')) issue(['environment', key], 'holds a NUL character');
      if (manifest.secrets.includes(key))
        issue(['environment', key], 'is the name of a secret too; choose another name');
    }
    if (new Set(manifest.secrets).size < manifest.secrets.length) issue(['secrets'], 'names a secret twice');
  });

/** Where the manifest came from. */
export interface ManifestSource {
  /** For messages: `function.yaml`, or its path. */
  readonly source: string;
}

/** Reads function.yaml. Throws BAD_MANIFEST, or BAD_NAME if only the name is wrong; the message names every place. */
export function parseManifest(yamlText: string, { source }: ManifestSource): Manifest {
  const data = readYaml(yamlText, source);
  const parsed = manifestSchema.safeParse(data);
  if (!parsed.success) throw describeIssues(parsed.error.issues, data, source);
  const { maxBody, keepAlive, timeout, deadline, batching, handler, sample, models, ...rest } = parsed.data;
  return {
    ...rest,
    handler: handler ?? null,
    models: models as Record<string, ManifestModel>,
    timeoutMs: timeout,
    maxBodyBytes: maxBody,
    keepAliveMs: keepAlive,
    batching: batching ? { maxSize: batching.maxSize, maxDelayMs: batching.maxDelay } : (batching ?? null),
    deadlineMs: deadline ?? null,
    sample: sample ?? null,
  };
}

function readYaml(text: string, source: string): Record<string, unknown> {
  const bad = (message: string, suggestion: string): GpufaasError =>
    new GpufaasError('BAD_MANIFEST', `${source}: ${message}`, { suggestions: [suggestion] });
  if (text.length > MAX_MANIFEST_BYTES) {
    throw bad(`is larger than ${MAX_MANIFEST_BYTES / 1024} KiB.`, 'Keep data in files of their own.');
  }
  const document = parseDocument(text, { prettyErrors: true });
  const problem = document.errors[0];
  if (problem) {
    throw bad(
      `is not valid YAML: ${problem.message.split('\n')[0]!.replace(/:$/, '')}.`,
      'Mend that line; check the indentation around it.',
    );
  }
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: 20 });
  } catch {
    throw bad('repeats its aliases too often.', 'Write the values out.');
  }
  if (typeof data !== 'object' || data === null || Array.isArray(data)) {
    throw bad('must be a mapping of keys to values.', 'Begin with `name: my-function`.');
  }
  return data as Record<string, unknown>;
}
