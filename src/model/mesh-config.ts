/** MeshConfig: what holds for the whole mesh. Names and meaning are those of istio/api mesh/v1alpha1/config.proto. */
import type * as v from "valibot";
import { parseDuration } from "../lib/duration.ts";
import { checkDuration, trustDomainError } from "./check.ts";
import { filled } from "./common.ts";
import { defaultConfig } from "./default-config.ts";
import { extensionProviders } from "./extension-provider.ts";
import { choice, flag, kubernetesOnly, list, notYet, object, text } from "./schema.ts";
import { retries } from "./virtual-service-route.ts";

/** Istio's connectTimeoutMax. */
const LONGEST_CONNECT_MS = 3_600_000;

export const MeshConfigSchema = object({
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
  protocolDetectionTimeout: notYet(),
  tcpKeepalive: notYet("write it in a DestinationRule"),
  ingressClass: kubernetesOnly("it is about Kubernetes' Ingress resources"),
  ingressService: kubernetesOnly("it is about Kubernetes' Ingress resources"),
  ingressControllerMode: kubernetesOnly("it is about Kubernetes' Ingress resources"),
  ingressSelector: kubernetesOnly("it is about Kubernetes' Ingress resources"),
  enableTracing: notYet(),
  accessLogEncoding: notYet(),
  enableEnvoyAccessLogService: notYet(),
  disableEnvoyListenerLog: notYet(),
  defaultConfig: defaultConfig(),
  outboundTrafficPolicy: notYet(),
  inboundTrafficPolicy: notYet(),
  configSources: notYet(),
  trustDomain: notYet("it is given to `weft run --trust-domain`"),
  caCertificates: notYet(),
  defaultServiceExportTo: notYet(),
  defaultVirtualServiceExportTo: notYet(),
  defaultDestinationRuleExportTo: notYet(),
  rootNamespace: notYet("it is weft-system"),
  localityLbSetting: notYet(),
  zoneAwareLbSetting: notYet(),
  dnsRefreshRate: notYet(),
  h2UpgradePolicy: notYet("write it in a DestinationRule"),
  inboundClusterStatName: notYet(),
  outboundClusterStatName: notYet(),
  certificates: kubernetesOnly("Istio's DNS certificates are written into Kubernetes Secrets"),
  serviceSettings: notYet(),
  serviceScopeConfigs: notYet(),
  enablePrometheusMerge: notYet(),
  verifyCertificateAtClient: notYet(),
  ca: notYet(),
  extensionProviders: extensionProviders(),
  defaultProviders: object({ accessLogging: list(filled()), tracing: list(filled()), metrics: list(filled()) }),
  defaultInboundHttpRetryPolicy: notYet(),
  discoverySelectors: kubernetesOnly("they select Kubernetes namespaces"),
  meshMTLS: notYet(),
  tlsDefaults: notYet(),
  defaultTrafficPolicy: notYet(),
  serviceEntryVisibility: notYet(),
});

export type MeshConfigSpec = v.InferOutput<typeof MeshConfigSchema>;
