/**
 * What a patch of a listener is matched by (Istio, pilot/pkg/networking/core/envoyfilter/listener_patch.go). Istio's sidecar takes all calls in at one
 * listener, virtualInbound, with a chain for each port; weft's has a listener for each port: together they are what that name means.
 */
import type { Filter, FilterChain, ListenerFilter } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import type { HttpFilter } from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { JWT_FILTER } from "../filters/jwt.ts";

const VIRTUAL_INBOUND = "virtualInbound";

export function listenerMatches(listener: Listener, { match }: EnvoyPatch): boolean {
  const asked = match.listener;
  if (!asked) return true;
  const isVirtual = asked.name === VIRTUAL_INBOUND && isInbound(listener);
  if (asked.name && asked.name !== listener.name && !isVirtual) return false;
  return !asked.portNumber || asked.portNumber === portOf(listener);
}

export function chainMatches(listener: Listener, chain: FilterChain, { match }: EnvoyPatch): boolean {
  const asked = match.listener?.filterChain;
  if (!asked) return true;
  const own = chain.filterChainMatch;
  if (asked.name && asked.name !== chain.name) return false;
  if (asked.sni && !own?.serverNames.includes(asked.sni)) return false;
  if (asked.transportProtocol && asked.transportProtocol !== own?.transportProtocol) return false;
  if (asked.applicationProtocols && !asked.applicationProtocols.split(",").every((one) => own?.applicationProtocols.includes(one))) {
    return false;
  }
  // The port by which virtualInbound chooses its chain is the listener's own here.
  const port = own?.destinationPort ?? (isInbound(listener) ? portOf(listener) : undefined);
  return !asked.destinationPort || asked.destinationPort === port;
}

export function namesListenerFilter({ match }: EnvoyPatch): boolean {
  return Boolean(match.listener?.listenerFilter);
}

export function listenerFilterMatches({ name }: ListenerFilter, patch: EnvoyPatch): boolean {
  return !namesListenerFilter(patch) || patch.match.listener?.listenerFilter === name;
}

export function namesNetworkFilter({ match }: EnvoyPatch): boolean {
  return match.listener?.filterChain?.filter !== undefined;
}

export function networkFilterMatches({ name }: Filter, patch: EnvoyPatch): boolean {
  return !namesNetworkFilter(patch) || isCalled(name, patch.match.listener?.filterChain?.filter?.name);
}

export function namesHttpFilter({ match }: EnvoyPatch): boolean {
  return match.listener?.filterChain?.filter?.subFilter !== undefined;
}

export function httpFilterMatches({ name }: HttpFilter, patch: EnvoyPatch): boolean {
  return !namesHttpFilter(patch) || isCalled(name, patch.match.listener?.filterChain?.filter?.subFilter?.name);
}

/** By Istio's names of filters, the names under which weft's get their configuration over ECDS. */
const DISCOVERED: Readonly<Record<string, RegExp>> = {
  [JWT_FILTER]: /^authn\|http\|jwt$/,
  "envoy.filters.http.rbac": /^authz\|http\|(audit|deny|allow)$/,
  "envoy.filters.http.ext_authz": /^authz\|http\|ext_authz$/,
  "envoy.filters.network.rbac": /^authz\|tcp\|(audit|deny|allow)$/,
  "envoy.filters.network.ext_authz": /^authz\|tcp\|ext_authz$/,
};

function isCalled(name: string, asked: string | undefined): boolean {
  return name === asked || (DISCOVERED[asked ?? ""]?.test(name) ?? false);
}

function isInbound({ name }: Listener): boolean {
  return name.startsWith("inbound|");
}

function portOf({ address }: Listener): number | undefined {
  if (address?.address.case !== "socketAddress") return undefined;
  const { portSpecifier } = address.address.value;
  return portSpecifier.case === "portValue" ? portSpecifier.value : undefined;
}
