import { buildCommand } from "@stricli/core";
import { NodeRemovedError } from "../lib/errors.ts";
import { BRIEF } from "./briefs.ts";
import { LOG_LEVELS, type RawSettings, readSettings } from "./config.ts";
import { CHOOSE } from "./in-mesh-settings.ts";
import { parseText } from "./names.ts";
import { NODE_REMOVED_EXIT, report, verb } from "./verb.ts";

interface Flags extends RawSettings {
  readonly config?: string;
}

const flag = (brief: string, placeholder: string) => ({ kind: "parsed", parse: parseText, optional: true, brief, placeholder }) as const;

export const runCommand = buildCommand({
  docs: {
    brief: BRIEF.run,
    fullDescription:
      "A flag wins over its WEFT_* variable, that over the configuration file (/etc/weft/weft.yaml, or --config), that over the default.\n" +
      "SIGTERM ends it well, SIGHUP reads the configuration file again. Exit 3 where this node was removed from its mesh: do not start it again.",
  },
  parameters: {
    flags: {
      data: flag("Data directory: ./weft-data, for root /var/lib/weft [$WEFT_DATA]", "DIR"),
      ads: flag("Where proxies connect: 127.0.0.1:15010; port 0: the system chooses [$WEFT_ADS]", "ADDR:PORT"),
      adsTls: flag(
        "Where proxies on other machines connect, with TLS: 0.0.0.0:15012, say; nowhere where absent [$WEFT_ADS_TLS]",
        "ADDR:PORT",
      ),
      adsSocket: flag("A further Unix socket for proxies, which every user may open [$WEFT_ADS_SOCKET]", "PATH"),
      admin: flag("Admin API: 127.0.0.1:15014 [$WEFT_ADMIN]", "ADDR:PORT"),
      adminTls: flag("Admin API with TLS; nowhere where absent [$WEFT_ADMIN_TLS]", "ADDR:PORT"),
      adminPrincipals: flag(
        "Who may call it by an X.509-SVID: SPIFFEID=ROLE, SPIFFEID=editor:NS,NS, with semicolons [$WEFT_ADMIN_PRINCIPALS]",
        "LIST",
      ),
      trustDomain: flag("Trust domain of the identities: mesh.local [$WEFT_TRUST_DOMAIN]", "TD"),
      workloadApi: flag("Socket of the SPIFFE Workload API: DATA/workload.sock; off: none [$WEFT_WORKLOAD_API]", "PATH"),
      node: flag("This node's name: the data directory's, or the host's [$WEFT_NODE]", "NAME"),
      cluster: flag("Where an authority serves other nodes: 0.0.0.0:15016, say; nowhere where absent [$WEFT_CLUSTER]", "ADDR:PORT"),
      clusterAddress: flag(
        "Where they reach it: where it listens, by this host's name where that is every address [$WEFT_CLUSTER_ADDRESS]",
        "HOST:PORT",
      ),
      takeOver: {
        kind: "parsed",
        parse: (text: string) => text || "yes",
        optional: true,
        inferEmpty: true,
        brief:
          "For one start: become an authority without a token, where all of the mesh's are lost, and end the trust in those [$WEFT_TAKE_OVER]",
        placeholder: "yes|no",
      },
      store: flag("Store: sqlite, sqlite:PATH, memory:, etcd://HOST:2379,... or redis://HOST:6379 [$WEFT_STORE]", "URL"),
      carryOver: {
        kind: "parsed",
        parse: (text: string) => text || "yes",
        optional: true,
        inferEmpty: true,
        brief:
          "For one start: fill the store's empty log with what DATA/weft.db holds; with sqlite, forget the log that it followed [$WEFT_CARRY_OVER]",
        placeholder: "yes|no",
      },
      config: flag("Configuration file: /etc/weft/weft.yaml, where there is one [$WEFT_CONFIG]", "FILE"),
      logLevel: flag(`${LOG_LEVELS.join(", ")}: info [$WEFT_LOG]`, "LEVEL"),
      jwksAllow: flag(
        "Addresses, ranges and host names, with commas, that are not public and may be asked for keys (jwksUri) and bundles (TrustDomain) [$WEFT_JWKS_ALLOW]",
        "LIST",
      ),
      svidLifetime: flag("How long an X.509-SVID lives: 1h [$WEFT_SVID_LIFETIME]", "TIME"),
      jwtSvidLifetime: flag("How long a JWT-SVID lives: 5m [$WEFT_JWT_SVID_LIFETIME]", "TIME"),
      caLifetime: flag("How long an authority of the CA lives: 24h; at least six times an SVID's [$WEFT_CA_LIFETIME]", "TIME"),
      upstreamCertificate: flag(
        "Your own intermediate CA, which then signs weft's: PEM, the certificates above it after it [$WEFT_UPSTREAM_CERTIFICATE]",
        "FILE",
      ),
      upstreamKey: flag("Its key: PEM [$WEFT_UPSTREAM_KEY]", "FILE"),
      upstreamRoots: flag("The root above it, where it is not in the certificate's file [$WEFT_UPSTREAM_ROOTS]", "FILE"),
      keyEncryptionFile: flag("Encrypts the CA's keys in the data directory with the key in this file [$WEFT_KEY_ENCRYPTION_FILE]", "FILE"),
      bundleEndpoint: flag(
        "Where other trust domains fetch this one's bundle, with TLS; nowhere where absent [$WEFT_BUNDLE_ENDPOINT]",
        "ADDR:PORT",
      ),
      bundleEndpointCertificate: flag(
        "Serve it with this certificate, which the web's authorities know (https_web), not weft's own SVID [$WEFT_BUNDLE_ENDPOINT_CERTIFICATE]",
        "FILE",
      ),
      bundleEndpointKey: flag("Its key: PEM [$WEFT_BUNDLE_ENDPOINT_KEY]", "FILE"),
      bundleRefreshHint: flag("How often they should: 5m [$WEFT_BUNDLE_REFRESH_HINT]", "TIME"),
      inMesh: {
        kind: "parsed",
        parse: (text: string) => text || CHOOSE,
        optional: true,
        inferEmpty: true,
        brief:
          "Make weft a workload of its own mesh, whose sidecar listens there: at its only address, port 15014, where absent [$WEFT_IN_MESH]",
        placeholder: "ADDR[:PORT]",
      },
      presenceGrace: flag("How long a workload's proxy may be away before its endpoints are taken out: 10s [$WEFT_PRESENCE_GRACE]", "TIME"),
      nodeGrace: flag("The same of a whole node, after its lease: 30s [$WEFT_NODE_GRACE]", "TIME"),
      adminHosts: flag("Names, with commas, by which the admin API is called besides loopback's [$WEFT_ADMIN_HOSTS]", "NAMES"),
    },
  },
  func: verb<Flags, []>(async (cli, { config, ...flags }) => {
    const read = () => readSettings(flags, config, cli.io);
    try {
      return await cli.io.startServer(await read(), read);
    } catch (reason) {
      report(cli, reason);
      if (reason instanceof NodeRemovedError) return NODE_REMOVED_EXIT;
      return 2; // a wrong setting is no answer to a question: weft could not run
    }
  }),
});
