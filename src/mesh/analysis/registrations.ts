/** WorkloadRegistrations whose identity is nobody's. */
import { nearest } from "../../model/suggest.ts";
import { type Context, some } from "./context.ts";

export function findLostRegistrations(context: Context): void {
  for (const one of context.of("WorkloadRegistration")) {
    const { namespace } = one.metadata;
    const { workload, serviceAccount } = one.spec;
    const there = context.workloads(namespace);
    if (workload !== undefined) {
      const found = there.find(({ name }) => name === workload);
      if (found?.spiffeId !== undefined) continue;
      const message = found ? `workload ${workload} has no service account` : `there is no workload ${namespace}/${workload}`;
      const help = found ? "give its WorkloadEntry a serviceAccount" : known(there.map(({ name }) => name));
      context.warn("unknownIdentity", one, ["spec", "workload"], `${message}: nobody gets an identity by this`, help);
    } else if (serviceAccount !== undefined && !there.some((other) => other.serviceAccount === serviceAccount)) {
      // A program without a sidecar has no WorkloadEntry: its account is nobody else's. One that is nearly another's is likely to be meant for it.
      const meant = nearest(
        serviceAccount,
        there.flatMap((other) => other.serviceAccount ?? []),
      );
      if (meant === undefined) continue;
      const message = `no workload of namespace ${namespace} has service account ${JSON.stringify(serviceAccount)}`;
      context.warn("unknownIdentity", one, ["spec", "serviceAccount"], message, `did you mean ${meant}?`);
    }
  }
}

const known = (names: readonly string[]) =>
  names.length > 0 ? `there are: ${some([...names].sort(), 8)}` : "add the WorkloadEntry, if it is to have a sidecar";
