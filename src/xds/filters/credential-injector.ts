/**
 * Adds a workload's JWT-SVID to the calls of one cluster. The filter stands in the cluster's upstream filters, so that a token goes where the cluster
 * leads and nowhere else: each try of a request passes them, a mirrored request passes those of the mirror's cluster, and what routes rewrite or
 * redirect decides nothing. The token comes over SDS, and a new one changes no cluster. While there is none, Envoy answers 401.
 */
import { create } from "@bufbuild/protobuf";
import { CredentialInjectorSchema } from "../../gen/envoy/extensions/filters/http/credential_injector/v3/credential_injector_pb.ts";
import { UpstreamCodecSchema } from "../../gen/envoy/extensions/filters/http/upstream_codec/v3/upstream_codec_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { GenericSchema } from "../../gen/envoy/extensions/http/injected_credentials/generic/v3/generic_pb.ts";
import type { Injection } from "../../mesh/token-injection.ts";
import { packAny } from "../encode.ts";
import { sds } from "../tls.ts";

/** A cluster's upstream filters, whole: the last sends the request. */
export function injectingFilters({ header, token }: Injection): HttpFilter[] {
  const generic = create(GenericSchema, { credential: sds(token.secret), header });
  const injector = create(CredentialInjectorSchema, {
    // Who calls is not the application's to say.
    overwrite: true,
    credential: { name: "envoy.http.injected_credentials.generic", typedConfig: packAny(GenericSchema, generic) },
  });
  return [
    filter("envoy.filters.http.credential_injector", packAny(CredentialInjectorSchema, injector)),
    filter("envoy.filters.http.upstream_codec", packAny(UpstreamCodecSchema, create(UpstreamCodecSchema))),
  ];
}

function filter(name: string, value: ReturnType<typeof packAny>): HttpFilter {
  return create(HttpFilterSchema, { name, configType: { case: "typedConfig", value } });
}
