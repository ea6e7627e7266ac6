/** What reaches the admin API from browsers, neighbours and scanners. */
import { exchange, request } from "../http1.ts";
import type { Attack, Door } from "../types.ts";

const MEBIBYTE = 1024 * 1024;
const tcp = (door: Door) => door.speaks === "admin" && door.asks;

const DOCUMENT = `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: smuggled}\nspec: {}\n`;

async function inTurn(
  door: Door,
  times: number,
  make: (index: number) => string | Uint8Array,
  isIn: (answer: { status: number; text: string }) => boolean,
  limitMs = 3_000,
) {
  const statuses = new Map<number, number>();
  let gotIn = 0;
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < times; index = next++) {
      const answer = await exchange(door, make(index), limitMs);
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
      if (isIn(answer)) gotIn += 1;
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  const note = [...statuses].map(([status, count]) => `${status || "cut"}: ${count}`).join(", ");
  return { attempts: times, gotIn, note };
}

const served = ({ status }: { readonly status: number }) => status >= 200 && status < 300;

export const ADMIN: readonly Attack[] = [
  {
    name: "DNS rebinding: a page's own name for 127.0.0.1",
    by: "stranger",
    on: tcp,
    times: [1_000, 100],
    run: (siege, door, times) => {
      const hosts = ["evil.example", "evil.example:15014", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:1@evil.example"];
      hosts.push(
        "",
        "0.0.0.0",
        "[::ffff:7f00:1].evil.example",
        "127.1.evil",
        "localhost, evil.example",
        "evil.example#localhost",
        "10.0.0.1",
      );
      // With the token too: a page may have got hold of it.
      const authorization = `Bearer ${siege.adminToken}`;
      const paths = ["/v1/services", "/healthz", "/metrics", "/openapi.json"];
      return inTurn(
        door,
        times,
        (index) => request("GET", paths[index % 4] ?? "", { host: hosts[index % hosts.length] ?? "", authorization }),
        served,
      );
    },
  },
  {
    name: "CSRF: a page of another origin posts a form",
    by: "stranger",
    on: tcp,
    times: [1_000, 100],
    run: (siege, door, times) => {
      const origins = [
        "http://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1:1",
        "file://",
        "https://localhost",
      ];
      const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"];
      const authorization = `Bearer ${siege.adminToken}`;
      const method = (index: number) => (index % 7 === 0 ? "OPTIONS" : "POST");
      return inTurn(
        door,
        times,
        (index) => {
          const headers = { origin: origins[index % origins.length] ?? "", "content-type": types[index % types.length] ?? "" };
          return request(method(index), "/v1/apply", { ...headers, authorization, "access-control-request-method": "POST" }, DOCUMENT);
        },
        (answer) => served(answer) || /access-control-allow/i.test(answer.text),
      );
    },
  },
  {
    name: "path traversal, and other spellings of open paths",
    by: "stranger",
    on: tcp,
    times: [1_000, 150],
    run: (_, door, times) => {
      const paths = [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/healthz/../v1/services",
        "/healthz/%2e%2e/v1/services",
        "/livez%2f..%2fv1/services",
      ];
      paths.push(
        "//v1/services",
        "/v1//services",
        "/V1/services",
        "/v1/services%00",
        "/healthz;/v1/services",
        "/healthz?/../v1/services#",
        "/v1/services/.",
      );
      paths.push(
        "/healthz\\..\\v1\\services",
        "http://127.0.0.1/v1/services",
        "/v1/resources/Secret/default/..%2f..",
        "/./v1/services",
        "/metrics/../v1/audit",
      );
      return inTurn(
        door,
        times,
        (index) => request("GET", paths[index % paths.length] ?? ""),
        ({ status, text }) => served({ status }) && !/"parts"|"status"|# HELP|"ok"/.test(text),
      );
    },
  },
  {
    name: "request smuggling: lengths that contradict each other",
    by: "stranger",
    on: tcp,
    times: [500, 60],
    run: (siege, door, times) => {
      const inner = request("POST", "/v1/apply", {}, DOCUMENT);
      const forms = [
        `POST /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: ${inner.length + 5}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
        `POST /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`,
        `POST /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: xchunked\r\n\r\n${inner}`,
        `POST /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n${inner}`,
        `GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n${inner}`,
        `GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: evil.example\r\nauthorization: Bearer ${siege.tokens.orders}\r\nx: ${"\n"}${inner}`,
      ];
      // What was smuggled would be applied, and its answer names it.
      return inTurn(
        door,
        times,
        (index) => forms[index % forms.length] ?? "",
        ({ text }) => /smuggled|"applied"/.test(text),
        500,
      );
    },
  },
  {
    name: "headers of megabytes, and thousands of them",
    by: "stranger",
    on: "admin",
    times: [200, 20],
    run: (_, door, times) =>
      inTurn(
        door,
        times,
        (index) => {
          const many = Array.from({ length: 50_000 }, (_unused, at) => `x-${at}: a`).join("\r\n");
          const large = `x: ${"a".repeat(4 * MEBIBYTE)}`;
          return `GET /v1/services HTTP/1.1\r\nhost: 127.0.0.1\r\n${index % 2 ? many : large}\r\n\r\n`;
        },
        served,
      ),
  },
  {
    name: "bodies of 60 MiB without a token, 16 at once",
    by: "stranger",
    on: tcp,
    times: [64, 16],
    async run(_, door, times) {
      const piece = Buffer.alloc(MEBIBYTE, "a");
      let next = 0;
      const worker = async () => {
        for (let index = next++; index < times; index = next++) {
          const socket = await door.open().catch(() => undefined);
          if (!socket) continue;
          socket.on("error", () => {});
          socket.resume();
          const chunked = index % 2 === 0;
          socket.write(
            `POST /v1/apply HTTP/1.1\r\nhost: 127.0.0.1\r\n${chunked ? "transfer-encoding: chunked" : `content-length: ${60 * MEBIBYTE}`}\r\n\r\n`,
          );
          for (let sent = 0; sent < 60 && !socket.destroyed && socket.writable; sent += 1) {
            if (chunked) socket.write(`${MEBIBYTE.toString(16)}\r\n`);
            const more = socket.write(piece);
            if (chunked) socket.write("\r\n");
            for (let wait = 0; !more && socket.writableNeedDrain && !socket.destroyed && wait < 200; wait += 1) await Bun.sleep(5);
            if (socket.writableNeedDrain) break;
          }
          socket.destroy();
        }
      };
      await Promise.all(Array.from({ length: 16 }, worker));
      return { attempts: times, gotIn: 0 };
    },
  },
  {
    name: "what is not HTTP",
    by: "stranger",
    on: "admin",
    times: [500, 50],
    run: (_, door, times) => {
      const random = (seed: number) =>
        Uint8Array.from({ length: 4_096 }, (_unused, index) => ((index + seed) * 7_919 + (index >> 3)) & 255);
      const forms = [
        Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
        Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Buffer.from("GET / HTTP/9.9\r\n\r\n"),
      ];
      return inTurn(door, times, (index) => (index % 4 === 3 ? random(index) : (forms[index % 4] ?? random(index))), served, 300);
    },
  },
];
