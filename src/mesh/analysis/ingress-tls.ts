/** The TLS of a Sidecar's ingress where mutual TLS stands in its place. */
import { mtlsModeAt } from "../peer-authentication.ts";
import { type Context, some } from "./context.ts";

export function findIdleIngressTls(context: Context): void {
  for (const sidecar of context.of("Sidecar")) {
    for (const [at, { tls, port }] of (sidecar.spec.ingress ?? []).entries()) {
      if (!tls) continue;
      const idle = context.workloads("*").filter((workload) => {
        const inbound = workload.inbound.find(({ number, source }) => number === port.number && source?.kind === "Sidecar");
        const isOwn = inbound?.source?.namespace === sidecar.metadata.namespace && inbound.source.name === sidecar.metadata.name;
        const mtls = context.mesh.mtls.get(workload.key);
        return isOwn && mtls && workload.spiffeId !== undefined && mtlsModeAt(mtls, port.number).mode !== "DISABLE";
      });
      if (idle.length === 0) continue;
      const message = `port ${port.number} of ${some(idle.map(({ key }) => key))} takes the mesh's mutual TLS, and so not this`;
      const help = `a PeerAuthentication must say DISABLE there: portLevelMtls: {${port.number}: {mode: DISABLE}}`;
      context.warn("noEffect", sidecar, ["spec", "ingress", at, "tls"], message, help);
    }
  }
}
