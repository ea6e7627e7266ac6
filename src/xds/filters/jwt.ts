/**
 * RequestAuthentication as Envoy's JWT filter, whose configuration comes by name over ECDS, there or not, so that no policy changes a
 * listener. Without rules the filter looks at nothing.
 *
 * A token that is found must be accepted; a request without one passes. With several rules one that accepts a token is enough, for rules that
 * share a location would refuse each other's tokens. What the accepted token says stands in the filter's metadata, where RBAC finds it
 * (Istio, pilot/pkg/security/authn/policy_applier.go convertToEnvoyJwtConfig).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TypedExtensionConfigSchema } from "../../gen/envoy/config/core/v3/extension_pb.ts";
import {
  JwtAuthenticationSchema,
  type JwtProviderSchema,
  type JwtRequirementSchema,
} from "../../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { EncodedResource } from "../../lib/encoded.ts";
import { memoize } from "../../mesh/memo.ts";
import type { JwtRule, WorkloadAuthentication } from "../../mesh/request-authentication.ts";
import { adsSource } from "../config-source.ts";
import { encodeResource, packAny } from "../encode.ts";

/** The filter's own name, under which it writes its metadata whatever it is called in the chain. */
export const JWT_FILTER = "envoy.filters.http.jwt_authn";
/** Where in that metadata the claims are. */
export const JWT_PAYLOAD = "payload";

const NAME = "authn|http|jwt";

/**
 * Accepts no token: what a rule has whose keys weft could not get yet. Envoy refuses an empty set, so it holds a point of the curve whose private
 * key nobody knows: x is the SHA-256 of "weft: nobody holds the private key of this point, 3" (the first number for which there is such a point), y
 * the even root.
 */
const NO_KEYS =
  '{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"none","x":"i4NVLmEfhZGt0FbkI4Q8flCw696NptOZ4Qm_uSuwOK8","y":"LKuep0jrBBruBp7zzp7Yp5nadq7gzoR0cGA3yWak9ro"}]}';

export function jwtFilter(): HttpFilter {
  return create(HttpFilterSchema, {
    name: NAME,
    configType: {
      case: "configDiscovery",
      value: { configSource: adsSource(), typeUrls: [`type.googleapis.com/${JwtAuthenticationSchema.typeName}`] },
    },
  });
}

/** What the filter asks for; workloads under the same rules share the bytes. */
export const jwtResource = memoize((authentication: WorkloadAuthentication): EncodedResource => resourceOf(authentication, false));

/** The same at a gateway, where the route is chosen anew once a token was accepted: it may ask for its claims (policy_applier.go, clearRouteCache). */
export const gatewayJwtResource = memoize((authentication: WorkloadAuthentication): EncodedResource => resourceOf(authentication, true));

function resourceOf({ rules }: WorkloadAuthentication, clearRouteCache: boolean): EncodedResource {
  const typedConfig = packAny(JwtAuthenticationSchema, create(JwtAuthenticationSchema, jwtAuthentication(rules, clearRouteCache)));
  const extension = create(TypedExtensionConfigSchema, { name: NAME, typedConfig });
  const sources = rules.map(({ source }) => source);
  return encodeResource(TypedExtensionConfigSchema, NAME, extension, sources);
}

type Requirement = MessageInitShape<typeof JwtRequirementSchema>;

function jwtAuthentication(rules: readonly JwtRule[], clearRouteCache: boolean): MessageInitShape<typeof JwtAuthenticationSchema> {
  if (rules.length === 0) return {};
  const named = rules.map((rule, index) => [`origins-${index}`, rule] as const);
  const accepted = named.map(([name]): Requirement => ({ requiresType: { case: "providerName", value: name } }));
  const acceptedOrMissing = accepted.map((one) => any([one, { requiresType: { case: "allowMissing", value: {} } }]));
  const [only, ...more] = acceptedOrMissing;
  const requires =
    more.length === 0 ? only : any([...accepted, { requiresType: { case: "requiresAll", value: { requirements: acceptedOrMissing } } }]);
  return {
    providers: Object.fromEntries(named.map(([name, rule]) => [name, { ...provider(rule), clearRouteCache }])),
    rules: requires && [
      { match: { pathSpecifier: { case: "prefix", value: "/" } }, requirementType: { case: "requires", value: requires } },
    ],
    bypassCorsPreflight: true,
  };
}

function any(requirements: Requirement[]): Requirement {
  return { requiresType: { case: "requiresAny", value: { requirements } } };
}

function provider(rule: JwtRule): MessageInitShape<typeof JwtProviderSchema> {
  const { headers, params, cookies } = rule.locations;
  const { authority } = rule.keys;
  // To Envoy no audiences are any.
  const jwks = authority !== undefined && rule.audiences.length === 0 ? undefined : rule.keys.jwks;
  return {
    issuer: rule.issuer,
    audiences: [...rule.audiences],
    jwksSourceSpecifier: { case: "localJwks", value: { specifier: { case: "inlineString", value: jwks ?? NO_KEYS } } },
    ...(authority === undefined ? {} : { subjects: { matchPattern: { case: "prefix", value: `${authority}/` } }, requireExpiration: true }),
    forward: rule.forwardOriginalToken,
    fromHeaders: headers.map(({ name, prefix }) => ({ name, valuePrefix: prefix })),
    fromParams: [...params],
    fromCookies: [...cookies],
    forwardPayloadHeader: rule.outputPayloadToHeader ?? "",
    payloadInMetadata: JWT_PAYLOAD,
    normalizePayloadInMetadata: { spaceDelimitedClaims: [...rule.spaceDelimitedClaims] },
    claimToHeaders: rule.outputClaimToHeaders.map(({ header, claim }) => ({ headerName: header, claimName: claim })),
  };
}
