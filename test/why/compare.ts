/** Whether what was observed is what `weft why` says, or, where it says that ends differ, one of those. */
import type { DestinationAnswer, EndpointAnswer, WhyAnswer } from "../../src/why/index.ts";
import { type Ending, endingOf } from "./application.ts";
import type { Asked } from "./generate.ts";
import type { Observed } from "./observe.ts";

/** undefined where they agree. */
export function difference(answer: WhyAnswer, asked: Asked, observed: Observed): string | undefined {
  // TLS that passes through to the echo, which speaks none, is the application's failure.
  if (asked.tcp && answer.mtls?.outcome === "tls" && answer.mtls.client !== "NONE") return undefined;
  const expected = expectations(answer, asked);
  const reasons = expected.map((one) => mismatch(one, asked, observed));
  if (reasons.includes(undefined)) return undefined;
  return `expected ${expected.map(({ text }) => text).join(" or ")}; observed ${observed.verdict} ${observed.status} (${observed.evidence}): ${[...new Set(reasons)].join(" | ")}`;
}

interface Expectation {
  readonly verdict: WhyAnswer["verdict"] | Ending["verdict"];
  readonly status: number;
  /** "ns/name" of the one that answers. */
  readonly workload?: string | null;
  readonly request?: DestinationAnswer["request"];
  readonly location?: string;
  readonly attempts?: number;
  /** A TCP filter closes the connection: the caller's Envoy sees that it ended, and not why. */
  readonly closes?: boolean;
  readonly text: string;
}

function expectations(answer: WhyAnswer, asked: Asked): readonly Expectation[] {
  const { destinations, verdict, status, route, summary } = answer;
  if (destinations.length === 0) return [{ verdict, status, location: route?.location, text: `${verdict} ${status} (${summary})` }];
  return destinations.flatMap((destination): Expectation[] => {
    const of = (one: EndpointAnswer | DestinationAnswer, workload?: string | null): Expectation => {
      const isAnswered = one.verdict === "allow" && !asked.tcp;
      const ending = isAnswered ? endingOf(answer, asked, asked.at === undefined) : { verdict: one.verdict, status: one.status };
      return {
        ...ending,
        workload,
        request: destination.request,
        closes: one.reason.startsWith("closed by "),
        text: `${ending.verdict} ${ending.status} at ${workload ?? destination.cluster} (${one.reason})`,
      };
    };
    if (destination.endpoints.length === 0) return [of(destination)];
    const first = destination.endpoints.filter(({ priority }) => priority === 0);
    const asks = first.filter(({ workload }) => asked.at === undefined || workload?.endsWith(`/${asked.at}`));
    return asks.map((endpoint) => of(endpoint, endpoint.workload));
  });
}

function mismatch(expected: Expectation, { tcp, path }: Asked, observed: Observed): string | undefined {
  const { verdict, status, workload, request, location, attempts, closes } = expected;
  // On TCP a connection that ends does not say why.
  const sameVerdict = tcp ? (verdict === "allow") === (observed.verdict === "allow") : verdict === observed.verdict;
  if (!sameVerdict && !(closes && observed.verdict === "refused")) return `verdict ${verdict}`;
  if (!tcp && status !== observed.status) return `status ${status}`;
  const written = (text = "") => (hasToken(path) ? text.replace(/\?.*/, "") : text);
  if (location !== undefined && written(location) !== written(observed.location)) return `location ${location}`;
  if (verdict !== "allow") return undefined;
  if (attempts !== undefined && observed.attempts !== undefined && attempts !== observed.attempts) return `${attempts} attempts`;
  if (workload && !workload.endsWith(`/${observed.workload}`)) return `workload ${workload}`;
  if (request && observed.authority !== undefined && request.authority !== observed.authority) return `authority ${request.authority}`;
  if (request && observed.path !== undefined && !samePath(request.path, observed.path, hasToken(path))) return `path ${request.path}`;
  return undefined;
}

/** A token in the query, which goes no further where it is accepted: Envoy then writes the rest anew. */
const hasToken = (path: string) => /[?&](access_token|token)=/.test(path);

/**
 * The application reads URLs as the WHATWG has it, which escapes and resolves a little more. A token in the query that was accepted goes no
 * further, and the rest is written anew; policies do not look there.
 */
function samePath(expected: string, observed: string, isWritten: boolean): boolean {
  const read = (path: string) => {
    const url = new URL(`http://application${path.replace(/^\/+/, "/")}`);
    return isWritten ? url.pathname : url.pathname + url.search;
  };
  return read(expected) === read(observed);
}
