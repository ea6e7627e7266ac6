/** Header operations of a VirtualService (Istio, route.go TranslateHeadersOperations). */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { HeaderValueOption_HeaderAppendAction as Append, type HeaderValueOptionSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { isPlainHeader } from "../mesh/authority-rewrite.ts";
import { compareText } from "../mesh/hosts.ts";
import type { WeightedTarget } from "../mesh/http-routes.ts";

type Headers = NonNullable<WeightedTarget["headers"]>;
type Option = MessageInitShape<typeof HeaderValueOptionSchema>;

export interface HeaderOperations {
  readonly requestHeadersToAdd: Option[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: Option[];
  readonly responseHeadersToRemove: string[];
}

export function headerOperations(...layers: readonly (Headers | undefined)[]): HeaderOperations {
  const of = <T>(pick: (headers: Headers) => readonly T[]) => layers.flatMap((headers) => (headers ? pick(headers) : []));
  return {
    requestHeadersToAdd: of(({ request }) => [
      ...options(request?.set, Append.OVERWRITE_IF_EXISTS_OR_ADD),
      ...options(request?.add, Append.APPEND_IF_EXISTS_OR_ADD),
    ]),
    requestHeadersToRemove: of(({ request }) => (request?.remove ?? []).filter(isPlainHeader)),
    responseHeadersToAdd: of(({ response }) => [
      ...options(response?.set, Append.OVERWRITE_IF_EXISTS_OR_ADD),
      ...options(response?.add, Append.APPEND_IF_EXISTS_OR_ADD),
    ]),
    responseHeadersToRemove: of(({ response }) => (response?.remove ?? []).filter(isPlainHeader)),
  };
}

function options(map: Readonly<Record<string, string>> | undefined, appendAction: Append): Option[] {
  return Object.entries(map ?? {})
    .filter(([name]) => isPlainHeader(name))
    .sort(([a], [b]) => compareText(a, b))
    .map(([key, value]) => ({ header: { key, value }, appendAction }));
}
