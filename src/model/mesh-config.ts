/** MeshConfig: what holds for the whole mesh. Names and meaning are those of istio/api mesh/v1alpha1/config.proto. */
import type * as v from "valibot";
import { parseDuration } from "../lib/duration.ts";
import { checkDuration, trustDomainError } from "./check.ts";
import { duration, durationOrZero, filled } from "./common.ts";
import { defaultConfig } from "./default-config.ts";
import { extensionProviders } from "./extension-provider.ts";
import { localityLbSetting } from "./locality.ts";
import { checkAccessLogFormat, defaultTrafficPolicy, meshMtls, outboundTrafficPolicy, tlsDefaults } from "./mesh-defaults.ts";
import { choice, flag, kubernetesOnly, list, notYet, object, text } from "./schema.ts";
import { tcpKeepalive } from "./traffic-policy.ts";
import { retries } from "./virtual-service-route.ts";
import { exportTo } from "./visibility.ts";

/** Istio's connectTimeoutMax. */
const LONGEST_CONNECT_MS = 3_600_000;

export const MeshConfigSchema = object(
  {
    trustDomainAliases: list(
      text((name, report) => {
        const error = trustDomainError(name);
        if (error) report("badValue", error);
      }),
    ),
    pathNormalization: object({ normalization: choice(["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]) }),
    connectTimeout: text((value, report) => {
      checkDuration({ atLeastMs: 1 })(value, report);
      if ((parseDuration(value) ?? 0) > LONGEST_CONNECT_MS) report("badDuration", `must be at most 1h, not ${value}`);
    }),
    enableAutoMtls: flag(),
    accessLogFile: text(),
    accessLogFormat: text(),
    defaultHttpRetryPolicy: retries,
    proxyListenPort: notYet("annotation weft.dev/outbound of a WorkloadEntry says where its sidecar takes calls out"),
    proxyInboundListenPort: notYet(),
    proxyHttpPort: notYet(),
    hboneIdleTimeout: notYet(),
    protocolDetectionTimeout: durationOrZero(),
    tcpKeepalive,
    ingressClass: kubernetesOnly("it is about Kubernetes' Ingress resources"),
    ingressService: kubernetesOnly("it is about Kubernetes' Ingress resources"),
    ingressControllerMode: kubernetesOnly("it is about Kubernetes' Ingress resources"),
    ingressSelector: kubernetesOnly("it is about Kubernetes' Ingress resources"),
    enableTracing: notYet("it is about defaultConfig.tracing: name a provider in defaultProviders.tracing, or in Telemetry"),
    accessLogEncoding: choice(["TEXT", "JSON"]),
    enableEnvoyAccessLogService: notYet(),
    disableEnvoyListenerLog: notYet(),
    defaultConfig: defaultConfig(),
    outboundTrafficPolicy: outboundTrafficPolicy(),
    inboundTrafficPolicy: notYet("nothing intercepts connections: a sidecar takes calls at the ports of its services"),
    configSources: notYet(),
    trustDomain: notYet("it is given to `weft run --trust-domain`"),
    caCertificates: notYet(),
    defaultServiceExportTo: exportTo({ none: true }),
    defaultVirtualServiceExportTo: exportTo(),
    defaultDestinationRuleExportTo: exportTo(),
    rootNamespace: notYet("it is weft-system"),
    localityLbSetting,
    zoneAwareLbSetting: notYet(),
    dnsRefreshRate: duration(),
    h2UpgradePolicy: choice(["DO_NOT_UPGRADE", "UPGRADE"]),
    inboundClusterStatName: notYet("Envoy's statistics have the clusters' own names"),
    outboundClusterStatName: notYet("Envoy's statistics have the clusters' own names"),
    certificates: kubernetesOnly("Istio's DNS certificates are written into Kubernetes Secrets"),
    serviceSettings: notYet(),
    serviceScopeConfigs: notYet(),
    enablePrometheusMerge: notYet(),
    verifyCertificateAtClient: notYet(
      "a server's certificate is always verified, unless a DestinationRule says insecureSkipVerify; Istio does not use it",
    ),
    ca: notYet(),
    extensionProviders: extensionProviders(),
    defaultProviders: object({ accessLogging: list(filled()), tracing: list(filled()), metrics: list(filled()) }),
    defaultInboundHttpRetryPolicy: notYet(),
    discoverySelectors: kubernetesOnly("they select Kubernetes namespaces"),
    meshMTLS: meshMtls(),
    tlsDefaults: tlsDefaults(),
    defaultTrafficPolicy: defaultTrafficPolicy(),
    serviceEntryVisibility: notYet(),
  },
  checkAccessLogFormat,
);

export type MeshConfigSpec = v.InferOutput<typeof MeshConfigSchema>;
