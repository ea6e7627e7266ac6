/** The answer of `weft why` for people: what happens first, then the way there, then the lines that decided. */
import { formatProvenance, type Provenance } from "../lib/provenance.ts";
import type { Step, WhyAnswer, WhyRequest } from "../why/index.ts";

const VERDICTS: Readonly<Record<WhyAnswer["verdict"], string>> = {
  allow: "reaches the application",
  deny: "is denied",
  no_route: "has nowhere to go",
  refused: "is refused",
  redirect: "is redirected",
  direct_response: "is answered before it gets to a service",
  fault: "is aborted by a fault",
};

export function formatWhy(request: WhyRequest, answer: WhyAnswer): string {
  const { method = "GET", path = "/" } = request;
  const asked = answer.protocol === "tcp" ? "a connection" : `${method} ${path}`;
  const verdict = answer.mixed ? "meets different ends" : VERDICTS[answer.verdict];
  const lines = [
    answer.summary,
    `${asked} from ${request.from} to ${request.to} ${verdict}`,
    "",
    ...aligned(answer.steps),
    ...decisions(answer),
  ];
  return lines.join("\n");
}

const WIDEST_RESULT = 40;

function aligned(steps: readonly Step[]): string[] {
  const widths = [
    Math.max(0, ...steps.map(({ stage }) => stage.length)),
    Math.max(0, ...steps.map(({ result }) => Math.min(result.length, WIDEST_RESULT))),
  ];
  return steps.flatMap(({ stage, result, reason, source }) => {
    const head = `  ${stage.padEnd(widths[0] ?? 0)}  ${result.padEnd(widths[1] ?? 0)}  `;
    const place = source ? [`${" ".repeat(6 + (widths[0] ?? 0) + (widths[1] ?? 0))}${formatProvenance(source)}`] : [];
    return [`${head}${reason}`, ...place];
  });
}

/** Each once, the last to decide first. */
function decisions(answer: WhyAnswer): string[] {
  const { route, mtls, jwt, authorization, verdict } = answer;
  const obstacle = obstacleOf(answer);
  const found: (readonly [string, Provenance | null | undefined])[] = [
    ["authorization", authorization?.policy ? authorization.source : undefined],
    ["token", jwt?.result === "none" ? undefined : jwt?.source],
    ["server's mTLS", mtls?.server_source],
    ["client's TLS", mtls?.client_source],
    ["route", route?.source],
  ];
  if (obstacle?.result === "no_listener" || !found.some(([, source]) => source)) found.unshift([nameOf(obstacle), obstacle?.source]);
  const shown = found.flatMap(([what, source]) => (source ? [`  ${what}: ${formatProvenance(source)}`] : []));
  if (shown.length === 0) return ["", `nothing but defaults decided${verdict === "allow" ? "" : " (or nothing was found)"}`];
  return ["", "decided by", ...shown];
}

/** The step at which a request that has nowhere to go came to its end. */
function obstacleOf({ verdict, steps }: WhyAnswer): Step | undefined {
  if (verdict !== "no_route") return undefined;
  return steps.find(({ result }) => result === "no_listener") ?? steps.findLast(({ result }) => result === "no_match");
}

function nameOf(obstacle: Step | undefined): string {
  if (obstacle?.source?.kind === "Sidecar") return "what the caller knows";
  if (obstacle?.result === "no_listener") return "listeners";
  return obstacle?.stage === "route" ? "routes, none of which matches" : "nothing";
}
