/**
 * RequestAuthentication: which tokens (JWTs) a workload takes. istio/api security/v1beta1/request_authentication.proto, checked as Istio's
 * ValidateRequestAuthentication does.
 */
import type * as v from "valibot";
import { duration, filled, filledList, selector } from "./common.ts";
import { checkJwks } from "./jwks.ts";
import { flag, kubernetesOnly, list, needed, notYet, object, type Report, text } from "./schema.ts";

const TARGETS = "it names a Gateway, GatewayClass, Service or ServiceEntry by a reference of the Gateway API";
const INSTEAD = "select workloads with selector.matchLabels";

/** Envoy takes any name here that cannot end the header line (its well_known_regex HTTP_HEADER_NAME, not strict). */
function checkLine(value: string, report: Report): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000\n\r]/.test(value)) report("badHeader", "holds a control character");
}

const headerLine = () => text(checkLine);

const headerName = () =>
  text((value, report) => {
    if (value === "") report("badHeader", "a header's name must not be empty");
    checkLine(value, report);
  });

/** Istio's ValidateStrictHTTPHeaderName. */
const strictHeaderName = () =>
  text((value, report) => {
    if (!/^[-_A-Za-z0-9]+$/.test(value)) report("badHeader", "a header's name holds letters, digits, '-' and '_'");
  });

/** Istio's ParseJwksURI. */
const jwksUri = () =>
  text((value, report) => {
    if (value === "") return;
    if (!URL.canParse(value) || !/^https?:/i.test(value)) {
      report("badValue", `must be an http or https URL such as https://issuer.example/keys.json, not ${JSON.stringify(value)}`);
    }
  });

/**
 * Whether the rule's tokens are JWT-SVIDs, verified by the keys of the trust domain that is their issuer: "spiffe://mesh.local". Nobody publishes
 * those at a spiffe: URL; the mesh knows them.
 */
export function takesSvids({
  issuer = "",
  jwks,
  jwksUri,
}: {
  readonly issuer?: string;
  readonly jwks?: string;
  readonly jwksUri?: string;
}): boolean {
  return !jwks && !jwksUri && /^spiffe:\/\/[a-z0-9._-]+$/.test(issuer);
}

const jwtRule = object(
  {
    issuer: text(),
    audiences: filledList(),
    jwksUri: jwksUri(),
    jwks: text(checkJwks),
    fromHeaders: list(object({ name: needed(headerName()), prefix: headerLine() })),
    fromParams: filledList(),
    fromCookies: filledList(),
    outputPayloadToHeader: headerLine(),
    outputClaimToHeaders: list(object({ header: needed(strictHeaderName()), claim: needed(filled()) })),
    forwardOriginalToken: flag(),
    timeout: duration(),
    spaceDelimitedClaims: filledList(),
    presence: notYet("Istio takes it and does nothing with it: an AuthorizationPolicy with requestPrincipals requires a token"),
  },
  (rule, report) => {
    if (rule.jwks && rule.jwksUri) report("exclusive", "may have only one of jwks, jwksUri");
    if (!rule.issuer && !rule.jwksUri) report("missing", "needs issuer or jwksUri", { help: "issuer is what the token's claim iss says" });
    if (takesSvids(rule) && !rule.audiences?.length) {
      report("missing", `needs audiences: whoever gets a JWT-SVID for another service could show it here (JWT-SVID, 3.2)`, {
        help: "write audiences: [...], what callers ask for in their tokens: the audience of TokenInjections for this service",
      });
    }
  },
);

export const RequestAuthenticationSchema = object({
  selector: selector(),
  targetRef: kubernetesOnly(TARGETS, INSTEAD),
  targetRefs: kubernetesOnly(TARGETS, INSTEAD),
  jwtRules: list(jwtRule),
});

export type RequestAuthenticationSpec = v.InferOutput<typeof RequestAuthenticationSchema>;
export type JwtRuleSpec = v.InferOutput<typeof jwtRule>;
