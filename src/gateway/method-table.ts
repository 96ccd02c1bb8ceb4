// Which methods each address has, so that a wrong method is told apart from a wrong address. Looked at only when nothing
// matched.

/** The routes of one gateway. */
export class MethodTable {
  readonly #routes: { readonly segments: readonly string[]; readonly methods: Set<string> }[] = [];

  /** Takes a route in, as it is registered. */
  add(method: string | readonly string[], url: string): void {
    const segments = split(url);
    const methods = typeof method === 'string' ? [method] : method;
    this.#routes.push({ segments, methods: new Set(methods) });
  }

  /** The methods of an address, sorted; none if there is no such address. */
  allowed(path: string): string[] {
    const given = split(path);
    const methods = new Set<string>();
    for (const route of this.#routes) {
      if (!fits(route.segments, given)) continue;
      for (const method of route.methods) methods.add(method);
    }
    return [...methods].sort();
  }
}

const split = (url: string): string[] => url.split('/').filter((segment) => segment !== '');

function fits(route: readonly string[], given: readonly string[]): boolean {
  for (const [index, segment] of route.entries()) {
    if (segment === '*') return true;
    if (given[index] === undefined) return false;
    if (!segment.startsWith(':') && segment !== given[index]) return false;
  }
  return route.length === given.length;
}
