/** MeshConfig's defaultConfig: istio/api mesh/v1alpha1/proxy.proto, as far as it means something for an Envoy that weft starts. */
import { concurrency, environment } from "./proxy-config.ts";
import { kubernetesOnly, notYet, object } from "./schema.ts";

const AGENT = "it is about Istio's own agent, which weft has not";
const TELEMETRY = "name an extensionProvider in Telemetry";

export const defaultConfig = () =>
  object({
    concurrency: concurrency(),
    proxyMetadata: environment(),
    configPath: notYet(AGENT),
    binaryPath: notYet("$WEFT_ENVOY is the Envoy that `weft proxy run` starts"),
    serviceCluster: notYet("a proxy's node.cluster is NAME.NAMESPACE of its WorkloadEntry"),
    tracingServiceName: notYet("a proxy's node.cluster is NAME.NAMESPACE of its WorkloadEntry"),
    drainDuration: notYet("write `weft proxy run NAME -- --drain-time-s SECONDS`"),
    discoveryAddress: notYet("the bootstrap names the weft that made it"),
    discoveryRefreshDelay: notYet("it is deprecated, and Istio ignores it"),
    zipkinAddress: notYet(TELEMETRY),
    statsdUdpAddress: notYet(),
    envoyMetricsServiceAddress: notYet(),
    availabilityZone: notYet("write locality in the WorkloadEntry"),
    controlPlaneAuthPolicy: notYet("a proxy always proves who it is"),
    customConfigFile: notYet("change the output of `weft proxy bootstrap`"),
    proxyBootstrapTemplatePath: notYet("change the output of `weft proxy bootstrap`"),
    proxyAdminPort: notYet("annotation weft.dev/envoy-admin of a WorkloadEntry says where Envoy's admin port is"),
    statNameLength: notYet("Envoy has no such limit any more"),
    interceptionMode: notYet("nothing intercepts connections"),
    tracing: notYet(TELEMETRY),
    sds: notYet("it is deprecated, and Istio ignores it"),
    envoyAccessLogService: notYet(TELEMETRY),
    envoyMetricsService: notYet(),
    runtimeValues: notYet("change the output of `weft proxy bootstrap`"),
    statusPort: notYet(AGENT),
    extraStatTags: notYet(),
    gatewayTopology: notYet(),
    terminationDrainDuration: notYet("a proxy that is told to end drains for at most 20 s"),
    meshId: notYet(),
    readinessProbe: notYet("write it in a WorkloadGroup"),
    proxyStatsMatcher: notYet(),
    holdApplicationUntilProxyStarts: kubernetesOnly("it orders the containers of a pod"),
    caCertificatesPem: notYet(),
    image: kubernetesOnly("it names the image of an injected container"),
    privateKeyProvider: notYet(),
    proxyHeaders: notYet(),
    fileFlushInterval: notYet("write `weft proxy run NAME -- --file-flush-interval-msec MS`"),
    fileFlushMinSizeKb: notYet("write `weft proxy run NAME -- --file-flush-min-size-kb KB`"),
    statsCompression: notYet(),
    connectionSettings: notYet(),
  });
