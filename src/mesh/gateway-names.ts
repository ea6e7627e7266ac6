import type { Resource } from "../model/resource.ts";

/**
 * "ns/name" of the gateway that a VirtualService of `namespace` names: "front", "ns/front", "./front", and the old "front.ns.svc.cluster.local"
 * (Istio, pilot/pkg/model/virtualservice.go resolveGatewayName). "mesh" stays.
 */
export function gatewayKey(name: string, namespace: string): string {
  if (name === "mesh") return name;
  const slash = name.indexOf("/");
  if (slash >= 0) return name.startsWith("./") ? `${namespace}/${name.slice(2)}` : name;
  const [own = "", other] = name.split(".");
  return `${other ?? namespace}/${own}`;
}

/** Whether it is bound to a gateway, besides sidecars or instead of them. */
export function isForGateways({ spec }: Resource<"VirtualService">): boolean {
  return spec.gateways?.some((name) => name !== "mesh") ?? false;
}
