/** WF04xx: what is valid but hardly meant. */
import type { CodeEntry } from "./entry.ts";

export const WARNINGS_CODES = {
  deprecated: {
    code: "WF0401",
    title: "Deprecated",
    cause: "Istio has replaced the field; it still works.",
    mend: "Write what the message names.",
    example: `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  trafficPolicy:
    loadBalancer: {simple: LEAST_CONN}
`,
  },
  noEffect: {
    code: "WF0402",
    title: "Without effect",
    cause: "What is written is valid, but nothing will come of it.",
    mend: "Remove it, or add what gives it effect.",
    example: `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
`,
  },
  surprising: {
    code: "WF0403",
    title: "It may do more or less than it seems",
    cause: "What is written is valid, but such a thing often means something else than its author thinks.",
    mend: "Read the message, and write it out if you mean it.",
    example: `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  action: DENY
  rules:
    - to: [{operation: {methods: [DELETE]}}]
`,
  },
  expiredCertificate: {
    code: "WF0404",
    title: "A certificate out of its time",
    cause: "A certificate of a Secret has expired, is not valid yet, or expires within a week: clients refuse a server that shows it.",
    mend: "Apply the Secret again with a renewed certificate: proxies take it without dropping a connection.",
    example: "A Secret whose tls.crt expired yesterday.\n",
  },
  staleBundle: {
    code: "WF0405",
    title: "Another trust domain's bundle is not fetched",
    cause:
      "The bundle endpoint of a TrustDomain does not answer, is not who it should be, or answers with what is older than what is known. The last good bundle stays in use; without one the SVIDs of that trust domain are refused.",
    mend: "Compare url, profile and endpointSPIFFEID with what the other side says. Where its authorities changed while this weft was off, write its present bundle into the field bundle.",
    example: `apiVersion: weft.dev/v1
kind: TrustDomain
metadata: {name: other.example, namespace: weft-system}
spec:
  bundleEndpoint: {url: "https://127.0.0.1:9/", profile: https_web}
`,
  },
  unknownUser: {
    code: "WF0406",
    title: "A user whom this machine does not know",
    cause:
      "The annotation weft.dev/unix-user or a WorkloadRegistration names a user or a group that is not in /etc/passwd or /etc/group of the machine where weft runs, so that no process can be its. It may be added later.",
    mend: "Correct the name, add the user, or write a number in its place.",
    example: `apiVersion: weft.dev/v1
kind: WorkloadRegistration
metadata: {name: billing, namespace: shop}
spec:
  serviceAccount: billing
  selectors: {unix: {user: biling, path: /usr/bin/billing}}
`,
  },
} as const satisfies Record<string, CodeEntry>;
