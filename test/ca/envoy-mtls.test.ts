/** A real Envoy takes weft's certificates for what they are. */
import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect, type PeerCertificate } from "node:tls";
import { openAuthority } from "../../src/ca/open-authority.ts";
import type { X509Svid } from "../../src/ca/types.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { listenerPort, liveAdmin } from "../proxy/harness.ts";
import { envoyFor } from "../skip.ts";
import { inTemporaryDirectory } from "./temporary.ts";

const realEnvoy = envoyFor("mutual TLS between real Envoys");

const ORDERS = "spiffe://mesh.local/ns/default/sa/orders";
const BILLING = "spiffe://mesh.local/ns/default/sa/billing";

/** An Envoy that is ORDERS, lets BILLING in by mutual TLS, and answers with the SPIFFE ID that it saw. */
function serverConfig(svid: X509Svid, bundle: string): Record<string, unknown> {
  const address = { socket_address: { address: "127.0.0.1", port_value: 0 } };
  const manager = {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: "inbound",
    route_config: {
      response_headers_to_add: [{ header: { key: "x-peer", value: "%DOWNSTREAM_PEER_URI_SAN%" } }],
      virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] }],
    },
    http_filters: [{ name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
  };
  const tls = {
    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
    require_client_certificate: true,
    common_tls_context: {
      tls_certificates: [{ certificate_chain: { inline_string: svid.chainPem }, private_key: { inline_string: svid.privateKeyPem } }],
      validation_context: {
        trusted_ca: { inline_string: bundle },
        match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: BILLING } }],
      },
    },
  };
  const chain = { filters: [{ name: "http", typed_config: manager }], transport_socket: { name: "tls", typed_config: tls } };
  return { admin: { address }, static_resources: { listeners: [{ name: "inbound", address, filter_chains: [chain] }] } };
}

interface Outcome {
  readonly server?: string;
  readonly response: string;
}

/** One HTTP/1 call over TLS; "refused" where the connection ends without an answer. */
function call(port: number, ca: string, client?: X509Svid): Promise<Outcome> {
  return new Promise((resolve) => {
    let response = "";
    let server: string | undefined;
    const credentials = client ? { cert: client.chainPem, key: client.privateKeyPem } : {};
    // The peer is known by its URI SAN, which hostname checks know nothing of.
    const checkServerIdentity = (_: string, certificate: PeerCertificate) => {
      server = certificate.subjectaltname;
      return undefined;
    };
    const socket = connect({ host: "127.0.0.1", port, ca, checkServerIdentity, ...credentials }, () => {
      server ??= socket.getPeerCertificate().subjectaltname;
      socket.write("GET / HTTP/1.1\r\nhost: orders\r\nconnection: close\r\n\r\n");
    });
    socket.on("data", (chunk) => {
      response += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve({ server, response: response === "" ? "refused" : response }));
  });
}

test.skipIf(!realEnvoy)("Envoy serves with an SVID, and lets in by mutual TLS the workload that it should, and no other.", () =>
  inTemporaryDirectory(async (dir) => {
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock: systemClock });
    await mkdir(join(dir, "foreign"));
    const foreign = await openAuthority({ dir: join(dir, "foreign"), trustDomain: "mesh.local", clock: systemClock });
    const file = join(dir, "envoy.json");
    await writeFile(file, JSON.stringify(serverConfig(await authority.issueX509(ORDERS), authority.bundle().x509Pem)), { mode: 0o600 });
    const adminFile = join(dir, "admin");
    const args = ["-l", "off", "--concurrency", "1", "--disable-hot-restart", "--admin-address-path", adminFile, "-c", file];
    const envoy = Bun.spawn([realEnvoy ?? "", ...args], { stdio: ["ignore", "ignore", "inherit"] });
    try {
      const port = await listenerPort(await liveAdmin(adminFile));
      const bundle = authority.bundle().x509Pem;
      const { server, response } = await call(port, bundle, await authority.issueX509(BILLING));
      expect(server).toBe(`URI:${ORDERS}`);
      expect(response).toContain(`x-peer: ${BILLING}`);
      expect((await call(port, bundle, await authority.issueX509(ORDERS))).response).toBe("refused");
      expect((await call(port, bundle, await foreign.issueX509(BILLING))).response).toBe("refused");
      expect((await call(port, bundle)).response).toBe("refused");
      expect((await call(port, foreign.bundle().x509Pem, await authority.issueX509(BILLING))).response).toBe("refused");
    } finally {
      envoy.kill("SIGKILL");
      await envoy.exited;
    }
  }),
);
