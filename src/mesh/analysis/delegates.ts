/** Routes that are left to another VirtualService: whether there is one that may take them. */
import { delegateOf } from "../delegates.ts";
import { type Context, some } from "./context.ts";

export function findLostDelegates(context: Context): void {
  const virtualServices = context.of("VirtualService");
  const delegates = new Map(
    virtualServices
      .filter(({ spec }) => !spec.hosts?.length)
      .map((resource) => [`${resource.metadata.namespace}/${resource.metadata.name}`, resource] as const),
  );
  for (const resource of virtualServices) {
    const { namespace } = resource.metadata;
    for (const [index, route] of (resource.spec.http ?? []).entries()) {
      const { name, namespace: other } = route.delegate ?? {};
      if (!name || delegateOf(delegates, route, namespace)) continue;
      const key = `${other || namespace}/${name}`;
      const path = ["spec", "http", index, "delegate"];
      const there = virtualServices.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === key);
      if (!there) {
        const help = delegates.size > 0 ? `those without hosts: ${some([...delegates.keys()], 8)}` : "add one, without hosts";
        context.warn("unknownDelegate", resource, path, `there is no VirtualService ${key}, so nothing takes these requests`, help);
      } else if (there.spec.hosts?.length) {
        context.warn("unknownDelegate", resource, path, `VirtualService ${key} has hosts, and a delegate has none`, "remove its hosts");
      } else {
        context.warn("unknownDelegate", resource, path, `VirtualService ${key} is not exported to namespace ${namespace}`);
      }
    }
  }
}
