/** The shapes that generated meshes are to have, told of what was generated, and of what requests came to: so that none ceases to occur unseen. */
import type { WhyAnswer } from "../../src/why/index.ts";
import { EXTERNAL_HOST } from "./vocabulary.ts";

/** As the generator writes it: by kind and spec, not by how it was made. */
export interface Shaped {
  readonly kind: string;
  readonly text: string;
}

type Test = (kind: string, spec: string) => boolean;

const has =
  (of: string, pattern: RegExp): Test =>
  (kind, spec) =>
    kind === of && pattern.test(spec);

/** Of resources. */
const WRITTEN: Readonly<Record<string, Test>> = {
  "a route that delegates": has("VirtualService", /"delegate":/),
  "a leaf to delegate to": (kind, spec) => kind === "VirtualService" && !/"hosts":/.test(spec),
  "a tls route by SNI": has("VirtualService", /"sniHosts":/),
  "a tcp route": has("VirtualService", /"tcp":\[/),
  "a mirror": has("VirtualService", /"mirrors":/),
  "header operations": has("VirtualService", /"headers":\{"request":/),
  "retries on the application's failures": has("VirtualService", /"retryOn":"(5xx|503|gateway-error)/),
  "a timeout shorter than a slow application takes": has("VirtualService", /"timeout":"0\.4s"/),
  "a route for some namespaces": has("VirtualService", /"exportTo":/),
  "a rule for some namespaces": has("DestinationRule", /"exportTo":/),
  "a rule for some workloads": has("DestinationRule", /"workloadSelector":/),
  "locality failover": has("DestinationRule", /"failover(Priority)?":/),
  "locality distribute": has("DestinationRule", /"distribute":/),
  "a service outside the mesh": has("ServiceEntry", /"MESH_EXTERNAL"/),
  "a service for some namespaces": has("ServiceEntry", /"exportTo":/),
  "a Gateway": has("Gateway", /"servers":/),
  "httpsRedirect at a Gateway": has("Gateway", /"httpsRedirect":true/),
  "TLS that a Gateway passes on": has("Gateway", /"PASSTHROUGH"/),
  "a route by claims": has("VirtualService", /"@request\.auth\.claims/),
  "Sidecar egress": has("Sidecar", /"egress":/),
  "Sidecar ingress": has("Sidecar", /"ingress":/),
  "a mutual TLS mode of one port": has("PeerAuthentication", /"portLevelMtls":/),
  "several issuers": has("RequestAuthentication", /"issuer":.*"issuer":/),
  "claims told in headers": has("RequestAuthentication", /"outputClaimToHeaders":/),
  "a nested claim": has("AuthorizationPolicy", /claims\[nested\]/),
  "a claim that is a list": has("AuthorizationPolicy", /claims\[(groups|nested\]\[list)\]/),
  negation: has("AuthorizationPolicy", /"not[A-Z]/),
  "an empty rule": has("AuthorizationPolicy", /[[,]\{\}[\],]/),
  "a CUSTOM policy": has("AuthorizationPolicy", /"CUSTOM"/),
};

/** Of answers: a shape that no request comes to proves nothing. */
const REACHED: Readonly<Record<string, (answer: WhyAnswer) => boolean>> = {
  "a delegate's route": ({ route }) => route?.source?.kind === "VirtualService" && route.source.name.startsWith("leaf"),
  "a tls or tcp route": ({ protocol, route }) => protocol === "tcp" && route?.source?.kind === "VirtualService",
  "a service outside the mesh": ({ destinations }) =>
    destinations.some(({ host, verdict }) => host === EXTERNAL_HOST && verdict === "allow"),
  "a mirrored request": ({ route }) => route?.mirrors !== undefined,
  "header operations": ({ steps }) => steps.some(({ stage }) => stage === "headers"),
  retries: ({ route, verdict }) => verdict === "allow" && (route?.retries?.attempts ?? 0) > 0,
  "a timeout": ({ route, verdict }) => verdict === "allow" && route?.timeout !== undefined,
  "endpoints of two priorities": ({ destinations }) => destinations.some(({ endpoints }) => endpoints.some(({ priority }) => priority > 0)),
  "shares of localities": ({ steps }) => steps.some(({ result }) => result === "distribute"),
  "a port that a Sidecar's ingress leaves out": ({ steps }) => steps.some(({ result }) => result === "closed"),
  "a Sidecar that hides": ({ steps }) => steps.some(({ source, result }) => source?.kind === "Sidecar" && result === "no_match"),
  "a token that is accepted": ({ jwt }) => jwt?.result === "valid",
  "a token that is refused": ({ jwt }) => jwt?.result === "invalid",
  "a policy that denies": ({ authorization }) => authorization?.result === "deny" && authorization.policy !== null,
  "a connection": ({ protocol, verdict }) => protocol === "tcp" && verdict === "allow",
  "a redirect": ({ verdict }) => verdict === "redirect",
  "a gateway's route": ({ steps, verdict }) => verdict === "allow" && isAtGateway(steps),
  "a gateway's policy that denies": ({ verdict, summary }) => verdict === "deny" && summary.endsWith("at the gateway"),
  "a gateway's redirect to https": ({ summary }) => summary.includes("httpsRedirect"),
  "a connection through a gateway": ({ steps, protocol, verdict }) => protocol === "tcp" && verdict === "allow" && isAtGateway(steps),
  "a claim that a route asks for": ({ steps }) => steps.some(({ stage, reason }) => stage === "route" && /: claim /.test(reason)),
  "a fault": ({ verdict }) => verdict === "fault",
  "ends that differ": ({ mixed }) => mixed,
};

function isAtGateway(steps: WhyAnswer["steps"]): boolean {
  return steps.some(({ stage, reason }) => stage === "listener" && reason.includes(" takes it at "));
}

/** How many meshes have each shape, and how many requests came to each. */
export interface Census {
  readonly written: Readonly<Record<string, number>>;
  readonly reached: Readonly<Record<string, number>>;
}

export interface Counter {
  mesh(resources: readonly Shaped[]): void;
  answer(answer: WhyAnswer): void;
  readonly census: Census;
}

export function openCounter(): Counter {
  const zero = (shapes: object) => Object.fromEntries(Object.keys(shapes).map((name) => [name, 0]));
  const census = { written: zero(WRITTEN), reached: zero(REACHED) };
  const tell = (counts: Record<string, number>, name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  return {
    census,
    mesh(resources) {
      const specs = resources.map(({ kind, text }) => ({ kind, spec: JSON.stringify((JSON.parse(text) as { spec: unknown }).spec) }));
      for (const [name, test] of Object.entries(WRITTEN)) {
        if (specs.some(({ kind, spec }) => test(kind, spec))) tell(census.written, name);
      }
    },
    answer(answer) {
      for (const [name, test] of Object.entries(REACHED)) if (test(answer)) tell(census.reached, name);
    },
  };
}

/** The shapes that did not occur. */
export function missing({ written, reached }: Census): readonly string[] {
  return [...Object.entries(written), ...Object.entries(reached)].flatMap(([name, count]) => (count === 0 ? [name] : []));
}
