/** ProxyConfigs in whose place an older one of the same scope stands. */
import { hasLabels } from "../callers.ts";
import { proxyConfigsFor } from "../proxy-config.ts";
import { type Context, nameOf } from "./context.ts";

export function findIdleProxyConfigs(context: Context): void {
  const all = context.of("ProxyConfig");
  const { rootNamespace } = context.mesh.settings;
  for (const one of all) {
    const { selector } = one.spec;
    const { namespace } = one.metadata;
    if (!selector) {
      const [oldest] = all.filter(({ metadata, spec }) => metadata.namespace === namespace && !spec.selector);
      if (oldest && oldest !== one) warn(context, one, nameOf(oldest));
    } else if (Object.keys(selector.matchLabels ?? {}).length > 0) {
      const selected = context.workloads(namespace).filter(({ labels }) => hasLabels(labels, selector.matchLabels));
      const holding = selected.map((workload) => proxyConfigsFor(all, workload, rootNamespace).at(-1));
      const [other] = holding;
      if (other && !holding.includes(one)) warn(context, one, nameOf(other));
    }
  }
}

function warn(context: Context, idle: Parameters<Context["warn"]>[1], holds: string): void {
  context.warn(
    "ignoredPolicy",
    idle,
    ["metadata", "name"],
    `${holds} is older and holds alone; this one does nothing`,
    "put both into one",
  );
}
