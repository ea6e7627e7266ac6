/** WF05xx: what several documents say together. All are warnings: Istio takes references to what is not there yet, and so does weft. */
import type { CodeEntry } from "./entry.ts";

const ORDERS = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders}
spec:
  hosts: [orders]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: orders}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec: {address: 10.0.0.8, labels: {app: orders, version: v1}, serviceAccount: orders}
`;

export const MESH_CODES = {
  unknownHost: {
    code: "WF0501",
    title: "No such service",
    cause: "A route or rule names a host that no ServiceEntry has. Calls that are sent there are answered with 503.",
    mend: "Check the spelling and the namespace, or add a ServiceEntry for the host.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - route: [{destination: {host: order}}]
`,
  },
  unknownSubset: {
    code: "WF0502",
    title: "No such subset",
    cause: "A route leads to a subset that no DestinationRule defines for that host. Calls that are sent there are answered with 503.",
    mend: "Add the subset to a DestinationRule for the host, or correct its name.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - route: [{destination: {host: orders, subset: v2}}]
`,
  },
  unknownPort: {
    code: "WF0503",
    title: "No such port",
    cause: "A route, rule or policy names a port that the service or workload does not have, so it leads nowhere or never applies.",
    mend: "Write one of the ports that the message lists, or add the port to the ServiceEntry.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - route: [{destination: {host: orders, port: {number: 80}}}]
`,
  },
  unknownGateway: {
    code: "WF0504",
    title: "No such gateway",
    cause: "A VirtualService is bound to a gateway that does not exist, so its routes are in force nowhere.",
    mend: "Check the spelling and the namespace (NAMESPACE/NAME), or add the Gateway.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders.example.com]
  gateways: [front]
  http:
    - route: [{destination: {host: orders}}]
`,
  },
  selectsNothing: {
    code: "WF0505",
    title: "It selects no workload",
    cause: "No WorkloadEntry in reach has the labels that a selector, a workloadSelector or a subset asks for.",
    mend: "Compare the labels with those of the WorkloadEntries (weft get workloadentry -o yaml). A selector reaches its own namespace only.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  subsets: [{name: v2, labels: {version: v2}}]
`,
  },
  unreachableRoute: {
    code: "WF0506",
    title: "A route that is never reached",
    cause: "Routes are tried in order, and an earlier one takes every request that this one could match.",
    mend: "Move the more specific route up, or remove the one that is never used.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - match: [{uri: {prefix: /api}}]
      route: [{destination: {host: orders}}]
    - match: [{uri: {prefix: /api/v2}}]
      timeout: 2s
      route: [{destination: {host: orders}}]
`,
  },
  duplicateRoute: {
    code: "WF0507",
    title: "The same match twice",
    cause: "Two routes have the same conditions; the second is never used.",
    mend: "Remove one, or make them different.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - match: [{uri: {prefix: /api}}]
      route: [{destination: {host: orders}}]
    - match: [{uri: {prefix: /api}}]
      timeout: 2s
      route: [{destination: {host: orders}}]
`,
  },
  conflictingHost: {
    code: "WF0508",
    title: "A host that two resources claim",
    cause: "Two VirtualServices, ServiceEntries or gateways stand for the same host. They are not merged: the oldest holds.",
    mend: "Put the rules for a host into one resource, or give them different hosts.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - route: [{destination: {host: orders}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders-timeout}
spec:
  hosts: [orders]
  http:
    - timeout: 2s
      route: [{destination: {host: orders}}]
`,
  },
  strictWithoutIdentity: {
    code: "WF0509",
    title: "STRICT meets plaintext",
    cause: "Mutual TLS is STRICT here, and a workload without a service account has no identity: it can neither call nor be called so.",
    mend: "Give the workload a serviceAccount and a sidecar (weft proxy run), or set PERMISSIVE until it has one.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: legacy-1}
spec: {address: 10.0.0.9, labels: {app: legacy}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
`,
  },
  mtlsTurnedOff: {
    code: "WF0510",
    title: "A client's TLS mode that the server refuses",
    cause: "A DestinationRule lets callers speak plaintext or another TLS where the servers take mutual TLS only (or the reverse).",
    mend: "Remove tls from the DestinationRule: callers choose by themselves. Or set its mode to ISTIO_MUTUAL.",
    example: `${ORDERS}---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: orders}
spec:
  host: orders
  trafficPolicy:
    tls: {mode: DISABLE}
`,
  },
  portConflict: {
    code: "WF0511",
    title: "Two listeners on one address",
    cause: "Two sidecars, or a sidecar and an application, would listen on the same address and port of one machine; only one of them can.",
    mend: 'Give each its own port: annotation weft.dev/outbound: "127.0.0.1:15101", other ports of the WorkloadEntry, or weft.dev/app.',
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web-1}
spec: {address: 10.0.0.7, labels: {app: web}, serviceAccount: web}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: cart-1}
spec: {address: 10.0.0.7, labels: {app: cart}, serviceAccount: cart}
`,
  },
  protocolConflict: {
    code: "WF0512",
    title: "Two protocols at one port",
    cause: "Two services say different protocols of the same port of a workload, or of the same host. The oldest ServiceEntry decides.",
    mend: "Write the same protocol in both, or use different ports.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: orders-raw}
spec:
  hosts: [orders-raw]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 8080, name: tcp, protocol: TCP}]
  workloadSelector: {labels: {app: orders}}
`,
  },
  neverMatches: {
    code: "WF0513",
    title: "A rule that can never match",
    cause: "What the rule asks for cannot occur at the workloads that it holds for.",
    mend: "Read the message: usually a port, a protocol, a trust domain or the mutual TLS mode does not fit. Another mesh's trust domain becomes known by a TrustDomain (weft.dev/v1).",
    example: `${ORDERS}---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
    - to: [{operation: {ports: ["9090"]}}]
`,
  },
  weakNormalization: {
    code: "WF0514",
    title: "Path rules on unnormalized paths",
    cause: "A policy decides by path, and MeshConfig lets paths through as they come: //admin or /%61dmin is another path to it.",
    mend: "Leave pathNormalization out (MERGE_SLASHES), or write DECODE_AND_MERGE_SLASHES.",
    example: `${ORDERS}---
apiVersion: weft.dev/v1
kind: MeshConfig
metadata: {name: mesh}
spec:
  pathNormalization: {normalization: NONE}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin}
spec:
  action: DENY
  rules:
    - to: [{operation: {paths: [/admin], ports: ["8080"]}}]
`,
  },
  ignoredPolicy: {
    code: "WF0515",
    title: "An older policy stands in its place",
    cause: "Of several policies of one scope the oldest holds alone; what the others say is not in force.",
    mend: "Put it into one policy, or remove the older one.",
    example: `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: a-default}
spec:
  mtls: {mode: PERMISSIVE}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default}
spec:
  mtls: {mode: STRICT}
`,
  },
  unknownProvider: {
    code: "WF0516",
    title: "Nobody to ask for authorization",
    cause:
      "Action CUSTOM names a provider that MeshConfig does not have, whose service does not exist, or a second one; weft denies what it would ask about.",
    mend: "Name one of MeshConfig's extensionProviders, one for a workload, and declare its service.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: orders-1}
spec: {address: 10.0.0.8, labels: {app: orders}, serviceAccount: orders}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask}
spec:
  action: CUSTOM
  provider: {name: authz}
  rules: [{}]
`,
  },
  unknownSecret: {
    code: "WF0517",
    title: "No such certificate",
    cause:
      "A server or rule names a Secret that is not there, or that lacks the keys: in the namespace of the proxy that needs it, as in Istio. Connections to that server are closed, and calls by that rule answered with 503.",
    mend: "Apply the Secret (kind Secret, type kubernetes.io/tls) to the namespace of the gateway's WorkloadEntry, or correct the name.",
    example: `apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: front-1, annotations: {weft.dev/type: gateway}}
spec: {address: 10.0.0.9, labels: {istio: ingressgateway}, serviceAccount: front}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: ingressgateway}
  servers:
    - port: {number: 443, name: https, protocol: HTTPS}
      hosts: [shop.example.com]
      tls: {mode: SIMPLE, credentialName: shop}
`,
  },
  unknownDelegate: {
    code: "WF0518",
    title: "Nobody takes the route over",
    cause:
      "A route is left to another VirtualService (delegate) that is not there, has hosts of its own, or is not exported to this namespace. Istio drops such a route, and so does weft: its requests go to the routes after it, or get 404.",
    mend: "Add the VirtualService, without hosts, or correct delegate.name and delegate.namespace; left out, the namespace is the own one.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: orders}
spec:
  hosts: [orders]
  http:
    - delegate: {name: orders-routes}
`,
  },
  groupUnselected: {
    code: "WF0519",
    title: "Nobody can call the group's instances",
    cause: "No ServiceEntry of the namespace selects the labels that a WorkloadGroup gives its instances, so they register to no use.",
    mend: "Apply a ServiceEntry whose workloadSelector fits, or mend the labels under spec.metadata or spec.template.",
    example: `${ORDERS}---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: orders}
spec:
  metadata: {labels: {app: order}}
  template: {serviceAccount: orders}
`,
  },
  unknownIdentity: {
    code: "WF0521",
    title: "An identity that no workload has",
    cause:
      "A WorkloadRegistration names a workload that is not there or has no service account, and gives nobody an identity; or a service account that no workload has, and that looks like one which a workload has. A program without a sidecar may have any.",
    mend: "Compare the name with those of the namespace's WorkloadEntries: a registration's identity is always one of its own namespace.",
    example: `apiVersion: weft.dev/v1
kind: WorkloadRegistration
metadata: {name: billing, namespace: shop}
spec:
  workload: billing-1
  selectors: {unix: {uid: 1001, path: /usr/bin/billing}}
`,
  },
  federatedCaller: {
    code: "WF0522",
    title: "A rule takes another trust domain's workloads for the mesh's own",
    cause:
      "A TrustDomain is there, and an ALLOW rule names callers by namespace or service account alone: as in Istio such a rule does not ask for the trust domain, so that a workload of that name in the other one is let in too.",
    mend: "Name them by principals (TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT), or add the trust domain to the rule.",
    example: `apiVersion: weft.dev/v1
kind: TrustDomain
metadata: {name: other.example, namespace: weft-system}
spec:
  bundleEndpoint: {url: "https://bundle.other.example/", profile: https_web}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders}
spec:
  rules:
    - from: [{source: {namespaces: [shop]}}]
`,
  },
} as const satisfies Record<string, CodeEntry>;
