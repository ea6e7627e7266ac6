/** How hosts match each other, wildcards included (Istio, pkg/config/host/name.go, and MostSpecificHostMatch in pilot/pkg/model/config.go). */

/** Order by code units, so that it never depends on a locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export function isWildcard(host: string): boolean {
  return host.startsWith("*");
}

/** Whether `pattern` ("orders.default.mesh.local", "*.example.com", "*") covers `host`, which may be a wildcard itself. */
export function covers(pattern: string, host: string): boolean {
  if (!isWildcard(pattern)) return pattern === host;
  return (isWildcard(host) ? host.slice(1) : host).endsWith(pattern.slice(1));
}

/** The key that says most about `host`: itself, else the longest wildcard that covers it. The map must not change any more. */
export function mostSpecific<T>(host: string, byPattern: ReadonlyMap<string, T>): T | undefined {
  const exact = byPattern.get(host);
  if (exact !== undefined) return exact;
  const text = isWildcard(host) ? host.slice(1) : host;
  for (const length of wildcardLengths(byPattern)) {
    const found = length <= text.length ? byPattern.get(`*${text.slice(text.length - length)}`) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

const lengths = new WeakMap<ReadonlyMap<string, unknown>, readonly number[]>();

/** How long the wildcards' suffixes are, longest first: few, where hosts are many. */
function wildcardLengths(byPattern: ReadonlyMap<string, unknown>): readonly number[] {
  const known = lengths.get(byPattern);
  if (known) return known;
  const found = new Set([...byPattern.keys()].filter(isWildcard).map((pattern) => pattern.length - 1));
  const sorted = [...found].sort((a, b) => b - a);
  lengths.set(byPattern, sorted);
  return sorted;
}
