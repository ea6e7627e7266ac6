/** A Sidecar's egress listeners that are not there: they lead nowhere, or something else has their place. */
import { egressBind } from "../../model/sidecar-egress.ts";
import type { EgressListener } from "../egress-listeners.ts";
import type { Workload } from "../types.ts";
import { type Context, some } from "./context.ts";

const samePlace = (a: EgressListener["bind"], b: EgressListener["bind"]) => a.address === b.address && a.port === b.port;

export function findLostEgressListeners(context: Context): void {
  const { mesh } = context;
  if (context.of("Sidecar").length === 0) return;
  const bySidecar = Map.groupBy(mesh.workloads.values(), ({ key }) => {
    const scope = mesh.outbound.get(key)?.scope;
    return scope ? `${scope.namespace}/${scope.name}` : "";
  });
  for (const sidecar of context.of("Sidecar")) {
    const workloads = bySidecar.get(`${sidecar.metadata.namespace}/${sidecar.metadata.name}`) ?? [];
    for (const [index, listener] of (sidecar.spec.egress ?? []).entries()) {
      if (!listener.port || workloads.length === 0) continue;
      const bind = egressBind(listener);
      const open = workloads.filter(({ key }) => mesh.outbound.get(key)?.listeners.some((one) => samePlace(one.bind, bind)));
      const path = ["spec", "egress", index];
      if (open.length === 0) {
        const lost = (what: string) => `no service that they name ${what}: the listener is not opened`;
        const at = [...path, "hosts"];
        if (bind.port === 0) context.warn("selectsNothing", sidecar, at, lost("can be meant"));
        else context.warn("unknownPort", sidecar, at, lost(`has port ${bind.port}`), "weft services lists the ports of services");
        continue;
      }
      const taken = open.filter((workload) => takenBy(workload, bind));
      const [first] = taken;
      if (!first) continue;
      const message = `${bind.address}:${bind.port} is ${takenBy(first, bind)} of ${some(taken.map(({ key }) => key))} already`;
      context.warn("portConflict", sidecar, [...path, listener.bind ? "bind" : "port"], message, "write another bind, such as 127.0.0.2");
    }
  }
}

/** What else of the workload's sidecar is there. */
function takenBy({ address, inbound, outbound }: Workload, bind: EgressListener["bind"]): string | undefined {
  const isAt = (other: string) => other === bind.address || isAny(other) || isAny(bind.address);
  if (outbound.port === bind.port && isAt(outbound.address)) return "the outbound listener";
  return inbound.some((port) => port.number === bind.port && isAt(port.address ?? address)) ? "an inbound port" : undefined;
}

const isAny = (address: string) => address === "0.0.0.0" || address === "::";
