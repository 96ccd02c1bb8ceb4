// The templates of the package, and how one becomes a function of the user's own.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GpufaasError } from '../errors.ts';
import { nearest } from '../nearest.ts';

/** One template. */
export interface Template {
  readonly name: string;
  /** What it shows, in a line: the description in its function.yaml. */
  readonly description: string;
  readonly folder: string;
}

// How a template's model was trained needs the repository around it; its README says where to find it.
const LEFT_OUT: ReadonlySet<string> = new Set(['training', 'node_modules']);

/** All templates, by name. */
export function listTemplates(): Template[] {
  const root = fileURLToPath(new URL('../../templates/', import.meta.url));
  return readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, entry.name, 'function.yaml')))
    .map(({ name }) => {
      const folder = join(root, name);
      return { name, folder, description: valueOf(readFileSync(join(folder, 'function.yaml'), 'utf8'), 'description') };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** The template of that name. Throws USAGE with the nearest one. */
export function findTemplate(templates: readonly Template[], name: string): Template {
  const found = templates.find((template) => template.name === name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    templates.map((template) => template.name),
  );
  throw new GpufaasError('USAGE', `There is no template ${JSON.stringify(name.slice(0, 80))}.`, {
    suggestions: [near === undefined ? '`gpufaas init --list` shows them all.' : `Did you mean ${near}?`],
  });
}

/**
 * Copies a template into a new (or empty) folder and gives the function its name. Returns the files, relative to the folder.
 * Throws CONFLICT if something is there already; leaves nothing behind when it fails.
 */
export function scaffold(template: Template, folder: string, name: string): string[] {
  const existed = existsSync(folder);
  if (existed && !isEmptyFolder(folder)) {
    throw new GpufaasError('CONFLICT', `${folder} is there already and is not empty.`, {
      suggestions: ['Choose another name, or remove it first.'],
    });
  }
  try {
    mkdirSync(folder, { recursive: true });
    cpSync(template.folder, folder, {
      recursive: true,
      filter: (source) => !LEFT_OUT.has(relative(template.folder, source).split(sep)[0]!),
    });
    const manifest = join(folder, 'function.yaml');
    writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/^name:.*$/m, `name: ${name}`));
    renameInReadme(join(folder, 'README.md'), template.name, name);
  } catch (error) {
    if (!existed) rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .toSorted();
}

/** Has the README of a scaffolded function call it by its own name; the template's name stays where it means the template. */
function renameInReadme(path: string, template: string, name: string): void {
  if (!existsSync(path)) return;
  const named = new RegExp(
    `(^# |gpufaas invoke |/function/|/v2/models/|"model_name":"|model is called \`)${template}(?![\\w-])`,
    'gm',
  );
  writeFileSync(path, readFileSync(path, 'utf8').replace(named, `$1${name}`));
}

/** Packages that a function's code and tests take from ours: what `node:` modules and `sharp` are is told by their types. */
const LENT = ['@types/node', 'sharp'];

/**
 * Lets editors and the function's own tests find `gpufaas` in the folder, with no network: a link to the package that is
 * running, and to what it lends. False where the file system has no links.
 */
export function linkPackage(folder: string): boolean {
  const modules = join(folder, 'node_modules');
  const link = (name: string, target: string): void => {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(target, join(modules, name), 'junction');
  };
  const places = createRequire(join(packageRoot(), 'package.json'));
  try {
    link('gpufaas', packageRoot());
    for (const name of LENT) {
      const found = places.resolve
        .paths(name)
        ?.map((place) => join(place, name))
        .find((path) => existsSync(path));
      if (found !== undefined) link(name, found);
    }
    return true;
  } catch {
    return false;
  }
}

/** The folder of the package that is running. */
export function packageRoot(): string {
  return fileURLToPath(new URL('../../', import.meta.url));
}

/** The sample of a scaffolded function, relative to its folder, or null. */
export function sampleIn(folder: string): string | null {
  return valueOf(readFileSync(join(folder, 'function.yaml'), 'utf8'), 'sample') || null;
}

// The templates are ours and keep these on lines of their own: no need to load a YAML parser.
function valueOf(manifest: string, key: string): string {
  const line = new RegExp(`^${key}:[ \\t]*(.*?)[ \\t]*(?:#.*)?$`, 'm').exec(manifest)?.[1] ?? '';
  return line.replace(/^(["'])(.*)\1$/, '$2');
}

function isEmptyFolder(path: string): boolean {
  try {
    return readdirSync(path).length === 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return false;
    throw error;
  }
}
