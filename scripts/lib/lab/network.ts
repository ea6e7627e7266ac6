/**
 * Addresses and ports of our own on loopback. Each run takes a random 127.x.y.0/24 (Linux answers on all of 127/8), so that two runs at
 * the same time cannot meet, and lets the system choose every port. Where only 127.0.0.1 exists (macOS), all workloads share it.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

export interface Network {
  /** An address that no other call returns (127.0.0.1 always, where there is no other). */
  nextAddress(): string;
  /** A TCP port on `address` that is free now, and that no other call returned. */
  freePort(address: string): Promise<number>;
}

export async function openNetwork(): Promise<Network> {
  const prefix = `127.${randomInt(16, 240)}.${randomInt(1, 255)}`;
  const alone = await chooseFreePort(`${prefix}.1`).then(
    () => false,
    () => true,
  );
  const given = new Set<string>();
  let host = 0;
  return {
    nextAddress() {
      if (alone) return "127.0.0.1";
      host += 1;
      if (host > 254) throw new Error("a run has at most 254 workloads");
      return `${prefix}.${host}`;
    },
    async freePort(address) {
      for (;;) {
        const port = await chooseFreePort(address);
        const key = `${address}:${port}`;
        if (given.has(key)) continue;
        given.add(key);
        return port;
      }
    },
  };
}

export function formatAddress({ address, port }: SocketAddress): string {
  return `${address}:${port}`;
}

function chooseFreePort(address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, address, () => {
      const bound = server.address();
      server.close(() => (bound !== null && typeof bound === "object" ? resolve(bound.port) : reject(new Error("no port"))));
    });
  });
}
