/** Patches of listeners, their filter chains and filters (Istio, pilot/pkg/networking/core/envoyfilter/listener_patch.go). */
import { fromBinary } from "@bufbuild/protobuf";
import type { Filter, FilterChain, ListenerFilter } from "../../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { EnvoyPatch } from "../../mesh/envoy-filters.ts";
import { packAny } from "../encode.ts";
import {
  chainMatches,
  httpFilterMatches,
  listenerFilterMatches,
  listenerMatches,
  namesHttpFilter,
  namesListenerFilter,
  namesNetworkFilter,
  networkFilterMatches,
} from "./listener-match.ts";
import { mergeAny } from "./merge.ts";
import { isAddition, isMerge, mergeValue, type Patches, patchList, patchValue } from "./patch.ts";
import { patchRouteConfiguration } from "./route.ts";

const MANAGER = "envoy.filters.network.http_connection_manager";

/** Changes `listener`; false where it is removed. */
export function patchListener(patches: Patches, listener: Listener): boolean {
  for (const patch of patches.of("LISTENER")) {
    if (!listenerMatches(listener, patch)) continue;
    if (patch.operation === "REMOVE") {
      patches.touch(patch);
      return false;
    }
    if (isMerge(patch) && mergeValue(patch, listener)) patches.touch(patch);
  }
  for (const patch of patches.of("LISTENER_FILTER")) {
    if (listenerMatches(listener, patch) && patchListenerFilters(listener, patch)) patches.touch(patch);
  }
  patchChains(patches, listener);
  return true;
}

function patchListenerFilters(listener: Listener, patch: EnvoyPatch): boolean {
  const named = namesListenerFilter(patch);
  const matches = (filter: ListenerFilter) => listenerFilterMatches(filter, patch);
  if (patch.operation !== "MERGE") return patchList(listener.listenerFilters, patch, { named, matches });
  if (!named) return false;
  // Istio merges into each filter, whichever the match names; only the named one can be meant.
  return listener.listenerFilters
    .filter(matches)
    .map((filter) => mergeFilter(filter, patch))
    .includes(true);
}

function patchChains(patches: Patches, listener: Listener): void {
  const chains = listener.filterChains.filter((chain) => chain.filters.length > 0 && patchChain(patches, listener, chain));
  const fallback = listener.defaultFilterChain;
  if (fallback && fallback.filters.length > 0 && !patchChain(patches, listener, fallback)) listener.defaultFilterChain = undefined;
  for (const patch of patches.of("FILTER_CHAIN")) {
    if (!isAddition(patch) || !listenerMatches(listener, patch)) continue;
    const value = patchValue<FilterChain>(patch);
    // A chain without filters is dropped again, as in Istio.
    if (!value || value.filters.length === 0) continue;
    chains.push(value);
    patches.touch(patch);
  }
  listener.filterChains = chains;
}

/** False where the chain is removed. */
function patchChain(patches: Patches, listener: Listener, chain: FilterChain): boolean {
  const concerns = (patch: EnvoyPatch) => listenerMatches(listener, patch) && chainMatches(listener, chain, patch);
  for (const patch of patches.of("FILTER_CHAIN").filter(concerns)) {
    if (patch.operation === "REMOVE") {
      patches.touch(patch);
      return false;
    }
    if (isMerge(patch) && (mergeTransportSocket(chain, patch) || mergeValue(patch, chain))) patches.touch(patch);
  }
  const network = patches.of("NETWORK_FILTER").filter(concerns);
  for (const patch of network) {
    const named = namesNetworkFilter(patch);
    if (patchList(chain.filters, patch, { named, matches: (filter) => networkFilterMatches(filter, patch) })) patches.touch(patch);
  }
  const http = patches.of("HTTP_FILTER").filter(concerns);
  for (const filter of chain.filters) {
    for (const patch of network) {
      if (patch.operation === "MERGE" && networkFilterMatches(filter, patch) && mergeFilter(filter, patch)) patches.touch(patch);
    }
    if (filter.name === MANAGER)
      patchManager(
        patches,
        filter,
        http.filter((patch) => networkFilterMatches(filter, patch)),
      );
  }
  return true;
}

/** Into the socket of the same name, and then nothing else of the patch is merged, as in Istio. True where that was so. */
function mergeTransportSocket(chain: FilterChain, patch: EnvoyPatch): boolean {
  const socket = patchValue<FilterChain>(patch)?.transportSocket;
  const own = chain.transportSocket;
  if (!socket || !own || socket.name !== own.name) return false;
  if (own.configType.case === "typedConfig" && socket.configType.case === "typedConfig") {
    const merged = mergeAny(own.configType.value, socket.configType.value);
    if (merged) own.configType = { case: "typedConfig", value: merged };
  }
  return true;
}

function patchManager(patches: Patches, filter: Filter, http: readonly EnvoyPatch[]): void {
  if (filter.configType.case !== "typedConfig") return;
  const manager = fromBinary(HttpConnectionManagerSchema, filter.configType.value.value);
  const inline = manager.routeSpecifier.case === "routeConfig" ? manager.routeSpecifier.value : undefined;
  if (inline) patchRouteConfiguration(patches, inline);
  for (const patch of http) if (patchHttpFilters(manager, patch)) patches.touch(patch);
  for (const httpFilter of manager.httpFilters) {
    for (const patch of http) {
      if (patch.operation === "MERGE" && httpFilterMatches(httpFilter, patch) && mergeFilter(httpFilter, patch)) patches.touch(patch);
    }
  }
  filter.configType = { case: "typedConfig", value: packAny(HttpConnectionManagerSchema, manager) };
}

function patchHttpFilters({ httpFilters }: HttpConnectionManager, patch: EnvoyPatch): boolean {
  return patchList(httpFilters, patch, { named: namesHttpFilter(patch), matches: (one: HttpFilter) => httpFilterMatches(one, patch) });
}

/**
 * The patch's name and typed configuration into a filter that has its configuration inside; one that gets it by name over ECDS stays as it
 * is, and so does one of another type.
 */
function mergeFilter(filter: Filter | HttpFilter | ListenerFilter, patch: EnvoyPatch): boolean {
  const value = patchValue<Filter | HttpFilter | ListenerFilter>(patch);
  if (!value || filter.configType.case !== "typedConfig") return false;
  if (value.configType.case === "typedConfig") {
    const merged = mergeAny(filter.configType.value, value.configType.value);
    if (!merged) return false;
    filter.configType = { case: "typedConfig", value: merged };
  }
  if (value.name) filter.name = value.name;
  return true;
}
