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

/** The key that says most about `host`: itself, else the longest wildcard that covers it. */
export function mostSpecific<T>(host: string, byPattern: ReadonlyMap<string, T>): T | undefined {
  const exact = byPattern.get(host);
  if (exact !== undefined) return exact;
  // The wildcards that cover a host are "*" followed by its suffixes: longest first, there is no need to look at all patterns.
  const text = isWildcard(host) ? host.slice(1) : host;
  for (let start = 0; start <= text.length; start++) {
    const found = byPattern.get(`*${text.slice(start)}`);
    if (found !== undefined) return found;
  }
  return undefined;
}
