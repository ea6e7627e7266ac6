/** The recorded verdicts, and the services and workloads that they are about. */
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import cases from "./cases.json";
import ownCases from "./own-cases.json";

export type Verdict = "allow" | "deny" | "refused" | "no_route" | "direct_response" | "redirect" | "fault";

/** A request and what became of it in Istio; README.md explains the fields. */
export interface Case {
  /** Name of a workload, or "plaintext": a client without a sidecar. */
  readonly from: string;
  /** "SERVICE:PORT"; "orders:8080" where absent. */
  readonly to?: string;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly expect: Verdict;
  readonly status?: number;
  readonly subsets?: readonly string[];
  readonly weights?: Readonly<Record<string, number>>;
}

export interface Group {
  readonly name: string;
  /** The place in Istio's sources that it is about. */
  readonly source: string;
  readonly yaml: string;
  readonly cases: readonly Case[];
}

export interface Service {
  readonly host: string;
  readonly namespace: string;
  readonly ports: readonly { readonly number: number; readonly name: string; readonly protocol: string }[];
  readonly selector: Readonly<Record<string, string>>;
}

export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly address: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string;
  readonly ports: Readonly<Record<string, number>>;
}

export interface Named {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** What a YAML text declares. */
export interface Declared {
  readonly resources: readonly Named[];
  readonly services: readonly Service[];
  readonly workloads: readonly Workload[];
  /** The documents that are no WorkloadEntry, as they are written. */
  readonly rest: readonly string[];
}

interface Document {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly hosts?: readonly string[];
    readonly ports?: unknown;
    readonly workloadSelector?: { readonly labels: Record<string, string> };
    readonly address?: string;
    readonly labels?: Record<string, string>;
    readonly serviceAccount?: string;
  };
}

export const groups: readonly Group[] = [...cases, ...ownCases] as readonly Group[];

export const baseYaml = (): Promise<string> => Bun.file(join(import.meta.dir, "base.yaml")).text();

export function declaredIn(yaml: string): Declared {
  const rest: string[] = [];
  const services: Service[] = [];
  const workloads: Workload[] = [];
  const resources: Named[] = [];
  for (const parsed of parseAllDocuments(yaml)) {
    const { kind, metadata, spec } = parsed.toJS() as Document;
    const { name, namespace } = metadata;
    resources.push({ kind, namespace, name });
    if (kind === "WorkloadEntry") {
      const { address = "", labels = {}, serviceAccount = "", ports } = spec;
      workloads.push({ name, namespace, address, labels, serviceAccount, ports: ports as Workload["ports"] });
      continue;
    }
    rest.push(yaml.slice(parsed.range[0], parsed.range[1]));
    if (kind === "ServiceEntry") {
      const selector = spec.workloadSelector?.labels ?? {};
      for (const host of spec.hosts ?? []) services.push({ host, namespace, ports: spec.ports as Service["ports"], selector });
    }
  }
  return { resources, services, workloads, rest };
}

export function selects({ namespace, selector }: Service, workload: Workload): boolean {
  return workload.namespace === namespace && Object.entries(selector).every(([key, value]) => workload.labels[key] === value);
}

/** One line that says what was asked: for test names and failures. */
export function describeCase({ from, to = "orders:8080", method = "GET", path = "/", headers = {} }: Case): string {
  const more = Object.entries(headers).map(([name, value]) => ` ${name}: ${value}`);
  return `${from} -> ${to} ${method} ${path}${more.join("")}`;
}
