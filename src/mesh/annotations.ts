/** weft's own annotations of a WorkloadEntry; model/workload-entry.ts refuses what cannot be read here. */

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** "127.0.0.1:9001" or "[::1]:9001". */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[3]);
  const address = match?.[1] ?? match?.[2];
  return address && port >= 1 && port <= 65535 ? { address, port } : undefined;
}

/** "KEY=ADDRESS:PORT,...": the entries by key. */
export function parseAddressMap(text: string | undefined): ReadonlyMap<string, SocketAddress> {
  const entries = new Map<string, SocketAddress>();
  for (const item of (text ?? "").split(",")) {
    const [key, value] = item.split("=");
    const address = parseSocketAddress(value ?? "");
    if (key && address) entries.set(key.trim(), address);
  }
  return entries;
}
