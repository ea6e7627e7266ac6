import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdminServer } from "../../src/admin/server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";
import { FakeControlPlane } from "../fakes/control-plane.ts";

/** A real admin server on a free loopback port and on DATA/admin.sock, in front of a fake control plane. */
export async function startAdmin({ hosts = [] as string[], clock = systemClock } = {}) {
  const data = mkdtempSync(join(tmpdir(), "weft-admin-"));
  const control = new FakeControlPlane();
  const token = `weft_admin_${Buffer.alloc(32, 7).toString("base64url")}`;
  const adminToken = { matches: (presented: string) => presented === token };
  const metrics = createMetrics({ clock, version: "1.2.3" });
  const server = createAdminServer({ control, adminToken, clock, metrics, version: "1.2.3", adminHosts: () => hosts });
  const { port } = await server.listen({ host: "127.0.0.1", port: 0 });
  const socket = join(data, "admin.sock");
  await server.listen({ path: socket, mode: 0o600 });
  const url = `http://127.0.0.1:${port}`;
  return {
    data,
    control,
    server,
    metrics,
    token,
    url,
    socket,
    /** Over the Unix socket. */
    call: (path: string, init: RequestInit = {}) => fetch(`http://weft${path}`, { ...init, unix: socket }),
    /** Over TCP, with the token unless `authorization` is given. */
    tcp: (path: string, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      if (!headers.has("authorization")) headers.set("authorization", `Bearer ${token}`);
      return fetch(`${url}${path}`, { ...init, headers });
    },
    async [Symbol.asyncDispose]() {
      await server.close(0);
      rmSync(data, { recursive: true, force: true });
    },
  };
}

export const peerAuthentication = (mode: string, name = "default") =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: ${name}\nspec:\n  mtls:\n    mode: ${mode}\n`;
