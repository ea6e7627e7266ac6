/** The TLS that ends at a Sidecar's ingress listener: for callers outside the mesh, by files on the workload's own host (Istio, ValidateSidecar). */
import { checkCipherSuites, checkHash, checkServerTls, checkSpki, TLS_VERSIONS } from "./gateway-tls.ts";
import { choice, flag, list, needed, notYet, object, text } from "./schema.ts";

const FILES = "Istio refuses it too: write serverCertificate and privateKey, paths of PEM files on the workload's host";

export const ingressTls = object(
  {
    mode: needed(
      choice(["SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"], {
        PASSTHROUGH: "leave tls out: without it the sidecar passes TLS on to the application",
        ISTIO_MUTUAL: "Istio refuses it too: a PeerAuthentication lets callers of the mesh in",
        AUTO_PASSTHROUGH: "Istio refuses it too",
      }),
    ),
    serverCertificate: text(),
    privateKey: text(),
    caCertificates: text(),
    caCrl: text(),
    verifyCertificateSpki: list(text(checkSpki)),
    verifyCertificateHash: list(text(checkHash)),
    insecureSkipVerify: flag(),
    minProtocolVersion: choice(TLS_VERSIONS),
    maxProtocolVersion: choice(TLS_VERSIONS),
    cipherSuites: list(text(), checkCipherSuites),
    httpsRedirect: notYet("Istio refuses it too: it belongs to a Gateway"),
    subjectAltNames: notYet("Istio refuses it too: write an AuthorizationPolicy"),
    credentialName: notYet(FILES),
    credentialNames: notYet(FILES),
    caCertCredentialName: notYet(FILES),
    tlsCertificates: notYet(FILES),
  },
  checkServerTls,
);
