/**
 * What is to be in force, as the one who applies it knows it: `orders` with real applications, which gets calls all the time, and many services of
 * endpoints that nobody calls, beside streams without an Envoy. Each edit leaves calls to `orders` allowed and answered.
 */
import type { Random } from "./random.ts";

export interface Document {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: object;
}

/** A change: what to apply, what to delete. */
export interface Edit {
  readonly what: string;
  readonly apply: readonly Document[];
  readonly remove?: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[];
}

const NAMESPACE = "default";
const NETWORKING = "networking.istio.io/v1";
const SECURITY = "security.istio.io/v1";
/** The response header by which a call tells which route it took. */
export const MARKER = "x-soak-edit";
export const CALLED = "orders";
/** Labels of a server that gets calls. */
export const SERVING = { serving: "yes" };

const doc = (apiVersion: string, kind: string, name: string, spec: object): Document => ({
  apiVersion,
  kind,
  metadata: { name, namespace: NAMESPACE },
  spec,
});

const nameOf = (service: number) => `svc-${service}`;
export const streamName = (stream: number) => `stream-${stream}`;

function serviceEntry(name: string, labels: Readonly<Record<string, string>> = { app: name }): Document {
  const ports = [{ number: 8080, name: "http", protocol: "HTTP" }];
  const workloadSelector = { labels };
  return doc(NETWORKING, "ServiceEntry", name, { hosts: [name], location: "MESH_INTERNAL", resolution: "STATIC", ports, workloadSelector });
}

/** The workload of a stream: an instance of one of the services, with an identity of its own. */
export function streamEntry(stream: number, services: number): Document {
  return doc(NETWORKING, "WorkloadEntry", streamName(stream), {
    address: `10.1.${stream >> 8}.${stream & 255}`,
    ports: { http: 8080 },
    labels: { app: nameOf(stream % services) },
    serviceAccount: streamName(stream),
  });
}

export class SoakMesh {
  readonly services: number;
  /** Names of endpoints. */
  readonly #endpoints = new Set<string>();
  /** Hosts on 10.2.0.0/15 that were given. */
  #hosts = 0;
  /** Counts edits that leave a mark. */
  #marks = 0;
  /** What MARKER says of a call to `orders`. */
  mark = "0";

  constructor(services: number) {
    this.services = services;
  }

  /** What stands before anything changes. */
  first(streams: number, endpointsEach: number): readonly Document[] {
    const numbers = Array.from({ length: this.services }, (_, service) => service);
    const endpoints = numbers.flatMap((service) =>
      Array.from({ length: endpointsEach }, (_, at) => this.#endpoint(service, `first-${at}`)),
    );
    return [
      serviceEntry(CALLED, { app: CALLED, ...SERVING }),
      // Through it a server that is out of the service keeps its listener, and has it when it is back: callers may learn of it before itself.
      serviceEntry(`${CALLED}-all`, { app: CALLED }),
      ...numbers.flatMap((service) => [serviceEntry(nameOf(service)), this.#routes(nameOf(service))]),
      this.#routes(CALLED),
      ...endpoints,
      ...Array.from({ length: streams }, (_, stream) => streamEntry(stream, this.services)),
    ];
  }

  /** One of all sorts of edits, the frequent ones more often. */
  next(random: Random): Edit {
    const service = nameOf(random.below(this.services));
    const kind = random.pick(EDITS);
    if (kind === "route") return { what: kind, apply: [this.#routes(random.below(4) === 0 ? CALLED : service)] };
    if (kind === "authorization") return { what: kind, apply: [this.#authorization(random.below(4) === 0 ? CALLED : service)] };
    if (kind === "mtls") return { what: kind, apply: [peerAuthentication(random.below(2) === 0 ? "STRICT" : "PERMISSIVE")] };
    if (kind === "subsets") return { what: kind, apply: [destinationRule(service, random)] };
    if (kind === "endpoint goes" && this.#endpoints.size > this.services) {
      const name = random.pick([...this.#endpoints]);
      this.#endpoints.delete(name);
      return { what: kind, apply: [], remove: [{ kind: "WorkloadEntry", namespace: NAMESPACE, name }] };
    }
    if (kind === "endpoint moves") {
      const name = random.pick([...this.#endpoints]);
      return { what: kind, apply: [this.#endpoint(Number(name.split("-")[1]), name.split("-").slice(2).join("-"))] };
    }
    return { what: "endpoint comes", apply: [this.#endpoint(random.below(this.services), `more-${++this.#marks}`)] };
  }

  /** The last edit: everything that calls can tell, and every service, gets a new mark. */
  last(): Edit {
    const services = Array.from({ length: this.services }, (_, service) => nameOf(service));
    const endpoints = services.map((_, service) => this.#endpoint(service, "last"));
    return {
      what: "last",
      apply: [...[CALLED, ...services].flatMap((one) => [this.#routes(one), this.#authorization(one)]), ...endpoints],
    };
  }

  #endpoint(service: number, suffix: string): Document {
    const name = `ep-${service}-${suffix}`;
    this.#endpoints.add(name);
    this.#hosts += 1;
    return doc(NETWORKING, "WorkloadEntry", name, {
      address: `10.${2 + ((this.#hosts >> 16) & 1)}.${(this.#hosts >> 8) & 255}.${this.#hosts & 255}`,
      ports: { http: 8080 },
      labels: { app: nameOf(service), version: this.#hosts % 2 === 0 ? "v1" : "v2" },
      serviceAccount: nameOf(service),
      weight: 1 + (this.#hosts % 5),
    });
  }

  #routes(host: string): Document {
    const mark = String(++this.#marks);
    if (host === CALLED) this.mark = mark;
    return doc(NETWORKING, "VirtualService", host, {
      hosts: [host],
      http: [
        {
          headers: { response: { set: { [MARKER]: mark } } },
          retries: { attempts: 2, perTryTimeout: "5s", retryOn: "connect-failure,refused-stream,unavailable,503" },
          timeout: `${20 + (this.#marks % 5)}s`,
          route: [{ destination: { host } }],
        },
      ],
    });
  }

  /** Lets every call of `orders` in, and refuses a path that nobody calls. */
  #authorization(app: string): Document {
    const paths = [`/refused-${++this.#marks}`];
    return doc(SECURITY, "AuthorizationPolicy", app, {
      selector: { matchLabels: { app } },
      action: "DENY",
      rules: [{ to: [{ operation: { paths } }] }],
    });
  }
}

const EDITS = [
  ...["endpoint comes", "endpoint comes", "endpoint moves", "endpoint moves", "endpoint goes", "endpoint goes"],
  ...["route", "route", "authorization", "mtls", "subsets"],
] as const;

function peerAuthentication(mode: string): Document {
  return doc(SECURITY, "PeerAuthentication", "default", { mtls: { mode } });
}

function destinationRule(host: string, random: Random): Document {
  const subsets = ["v1", "v2"].map((name) => ({ name, labels: { version: name } }));
  const maxConnections = 100 + random.below(100);
  return doc(NETWORKING, "DestinationRule", host, {
    host,
    subsets,
    trafficPolicy: { connectionPool: { tcp: { maxConnections } }, loadBalancer: { simple: random.pick(["ROUND_ROBIN", "LEAST_REQUEST"]) } },
  });
}
