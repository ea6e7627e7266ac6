/** So many connections from one address, so that one machine cannot take every place that a listener has. */
import type { Socket } from "node:net";

interface Listening {
  on(event: "connection", listener: (socket: Socket) => void): unknown;
}

/**
 * Ends each connection that comes while `perAddress` of its address are open, before a byte of it is read. Connections to a Unix socket have no
 * address, and are not counted.
 */
export function limitConnections(server: Listening, perAddress: number, onRefused: (address: string) => void = () => {}): void {
  const open = new Map<string, number>();
  server.on("connection", (socket) => {
    const address = socket.remoteAddress;
    if (address === undefined) return;
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once("close", () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
    if (count <= perAddress) return;
    // What a reset connection says afterwards interests nobody.
    socket.on("error", () => {});
    socket.destroy();
    onRefused(address);
  });
}
