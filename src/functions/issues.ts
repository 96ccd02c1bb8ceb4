// What is wrong with a manifest, in sentences: the place, what was expected, what stands there, and what was
// probably meant.

import type { z } from 'zod';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';

type Issue = z.core.$ZodIssue;

/** Which keys are right at a place, for "did you mean"; `*` stands for a name of the author's. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': 'name description handler models timeout concurrency maxBody priority keepAlive batching deadline environment secrets sample'.split(
    ' ',
  ),
  'models.*': ['path', 'url', 'sha256', 'sessionOptions'],
  'models.*.sessionOptions':
    'graphOptimizationLevel executionMode intraOpNumThreads interOpNumThreads enableCpuMemArena enableMemPattern freeDimensionOverrides extra'.split(
      ' ',
    ),
  'models.*.sessionOptions.extra': ['session', 'optimization', 'mlas'],
  batching: ['maxSize', 'maxDelay'],
};

/** What a pattern asks for, by place. */
const PATTERN_WORDS: Readonly<Record<string, string>> = {
  name: '1 to 63 lower-case letters, digits and hyphens, beginning with a letter',
  'models.*.url': 'an https:// or hf://owner/repo/path address (http:// only to this machine)',
  'models.*.sha256': '64 hexadecimal digits in lower case',
  'secrets.*': 'letters, digits, hyphens, dots and underscores, beginning with a letter',
  'models key': 'letters, digits, hyphens and underscores, beginning with a letter',
  'environment key': 'letters, digits and underscores, not beginning with a digit',
  'session key': 'a session entry of ONNX Runtime that neither reads nor writes files',
};

/** One error for all that is wrong; the message tells the first, the suggestions the others. */
export function describeIssues(found: readonly Issue[], data: unknown, source: string): GpufaasError {
  const issues = found.flatMap((issue) => ofMapping(issue, data));
  // A misspelt key explains what seems to be missing.
  const misspelt = issues.some((issue) => issue.code === 'unrecognized_keys');
  const sentences = issues
    .filter((issue) => !(misspelt && issue.code === 'custom' && issue.params?.['missing'] === true))
    .flatMap((issue) => describeIssue(issue, data));
  const [first, ...others] = sentences;
  const nameOnly = issues.length === 1 && issues[0]!.path.join('.') === 'name' && issues[0]!.code === 'invalid_format';
  return new GpufaasError(nameOnly ? 'BAD_NAME' : 'BAD_MANIFEST', `${source}: ${first}`, {
    suggestions: [
      ...others.slice(0, 9).map((other) => `Also mend: ${other}`),
      others.length > 9
        ? `And ${others.length - 9} more.`
        : 'The schema of function.yaml is in schema/function.schema.json of the gpufaas package.',
    ],
  });
}

/** Where `false` or a mapping may stand and a mapping does: what is wrong with that. */
function ofMapping(issue: Issue, data: unknown): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const value = valueAt(data, issue.path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [issue];
  const inside = issue.errors.find((issues) => issues.every(({ code }) => code !== 'invalid_value')) ?? [];
  return inside.map((each) => ({ ...each, path: [...issue.path, ...each.path] }));
}

function describeIssue(issue: Issue, data: unknown): string[] {
  const path = issue.path.map(String);
  const place = path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const known = KEYS[general(path)] ?? [];
    return issue.keys.map((key) => {
      const meant = nearest(key, known) ?? known.find((each) => key.length >= 3 && each.startsWith(key));
      const full = [...path, cut(key)].join('.');
      return meant === undefined
        ? `${full} is not a key of function.yaml; expected one of ${known.join(', ')}.`
        : `${full} is not a key of function.yaml; did you mean ${meant}?`;
    });
  }
  if (issue.code === 'custom')
    return [/[.?]$/.test(issue.message) ? `${place}: ${issue.message}` : `${place} ${issue.message}.`];
  if (issue.code === 'invalid_key') {
    const words = PATTERN_WORDS[`${path.at(-2) ?? ''} key`] ?? 'another name';
    return [
      `${path.slice(0, -1).join('.')}: ${JSON.stringify(cut(path.at(-1)!))} can not be a name there; expected ${words}.`,
    ];
  }
  const actual = valueAt(data, issue.path);
  if (actual === undefined && issue.code === 'invalid_type')
    return [`${place} is missing; expected ${expected(issue, path)}.`];
  return [`${place}: expected ${expected(issue, path)}, got ${describeValue(actual)}.${hint(issue, actual)}`];
}

function expected(issue: Issue, path: readonly string[]): string {
  switch (issue.code) {
    case 'invalid_type':
      return PATTERN_WORDS[general(path)] ?? TYPE_WORDS[issue.expected] ?? issue.expected;
    case 'invalid_value':
      return `one of ${issue.values.map(String).join(', ')}`;
    case 'invalid_format':
      return PATTERN_WORDS[general(path)] ?? 'another form';
    case 'too_small':
      return `${issue.origin === 'string' ? 'text of at least ' : 'at least '}${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string' ? `text of at most ${issue.maximum} characters` : `at most ${issue.maximum}`;
    case 'invalid_union':
      return 'false, or a mapping of keys to values';
    default:
      return 'something else';
  }
}

const TYPE_WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping of keys to values',
  record: 'a mapping of names to values',
  array: 'a list',
};

/** YAML reads `3` as a number and `30` has no unit: the two slips that everyone makes. */
function hint(issue: Issue, actual: unknown): string {
  if (issue.code !== 'invalid_type' || issue.expected !== 'string') return '';
  if (typeof actual !== 'number' && typeof actual !== 'boolean') return '';
  const key = String(issue.path.at(-1));
  if (['timeout', 'deadline', 'maxDelay', 'keepAlive'].includes(key))
    return ` Give it a unit, such as ${actual}s or ${actual}ms.`;
  if (key === 'maxBody') return ` Give it a unit, such as 16MB.`;
  return ` Put it in quotes: "${actual}".`;
}

/** The place with the author's own names and list positions replaced by `*`. */
function general(path: readonly string[]): string {
  return path
    .map((part, i) => (i === 1 && ['models', 'environment', 'secrets'].includes(path[0]!) ? '*' : part))
    .join('.');
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function describeValue(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return JSON.stringify(cut(value));
  if (typeof value === 'number') return `the number ${value}`;
  return String(value as boolean);
}

const cut = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
