/** What the demo proves, in order: each proof applies its policy, sends real requests through real Envoys, and says what it measured. */
import { binomialBounds } from "../lab/binomial.ts";
import { type Answer, callMany, countBy } from "../lab/call.ts";
import { isOverflow, overload } from "../lab/overload.ts";
import type { Proof } from "../lab/show.ts";
import { waitFor } from "../lab/wait.ts";
import type { Town } from "./town.ts";

const SPLIT_CALLS = 1000;
/** A correct split falls outside of its bounds once in a million runs. */
const SPLIT_ALPHA = 1e-6;
const WIDTH = 8;
const TIMEOUT_MS = 300;

const versionOf = ({ echo, status }: Answer) => echo?.version ?? `status ${status}`;
const statusOf = ({ status }: Answer) => String(status);
const show = (counts: Readonly<Record<string, number>>) =>
  Object.entries(counts)
    .map(([key, count]) => `${key}: ${count}`)
    .join(", ");
const fromShop = (town: Town, count: number, host: string, headers: Readonly<Record<string, string>> = {}) =>
  callMany(count, WIDTH, () => ({ to: town.place("shop-1").outbound, host, headers }));

export const PROOFS: readonly Proof<Town>[] = [
  {
    name: "identity",
    async run(town) {
      const { status, echo } = await town.callFrom("shop-1", "orders");
      const peer = echo?.headers["x-forwarded-client-cert"] ?? "no client certificate";
      const uri = /URI=(spiffe:[^;,]+)/.exec(peer)?.[1] ?? peer;
      return { held: status === 200 && uri === "spiffe://mesh.local/ns/default/sa/shop", measured: `orders saw its caller as ${uri}` };
    },
  },
  {
    name: "weighted split",
    policy: "split.yaml",
    async run(town) {
      await town.apply("split.yaml");
      await waitFor(
        "the split",
        () => town.callFrom("shop-1", "orders"),
        ({ status }) => status === 200,
      );
      const counts = countBy(await fromShop(town, SPLIT_CALLS, "orders"), versionOf);
      const { low, high } = binomialBounds(SPLIT_CALLS, 0.1, SPLIT_ALPHA);
      const [v1, v2] = [counts.v1 ?? 0, counts.v2 ?? 0];
      return {
        held: v1 + v2 === SPLIT_CALLS && v2 >= low && v2 <= high,
        measured: `90/10 over ${SPLIT_CALLS} requests: ${show(counts)} (v2 within ${low} to ${high}, p < 10^-6 outside)`,
      };
    },
  },
  {
    name: "canary by header",
    policy: "canary.yaml",
    async run(town) {
      await town.apply("canary.yaml");
      const canary = () => town.callFrom("shop-1", "orders", { headers: { "x-canary": "yes" } });
      await waitFor("the canary", canary, (answer) => versionOf(answer) === "v2");
      const asked = countBy(await fromShop(town, 100, "orders", { "x-canary": "yes" }), versionOf);
      const others = countBy(await fromShop(town, 100, "orders"), versionOf);
      return {
        held: asked.v2 === 100 && others.v1 === 100,
        measured: `x-canary: yes -> ${show(asked)} of 100; without -> ${show(others)} of 100`,
      };
    },
  },
  {
    name: "retry",
    policy: "retry.yaml",
    async run(town) {
      const [good, bad] = [town.app("payments-1"), town.app("payments-2")];
      bad.status = 500;
      try {
        const before = countBy(await fromShop(town, 100, "payments"), statusOf);
        await town.apply("retry.yaml");
        await waitFor(
          "retries",
          () => fromShop(town, 10, "payments"),
          (answers) => answers.every(({ status }) => status === 200),
        );
        [good.calls, bad.calls] = [0, 0];
        const after = countBy(await fromShop(town, 100, "payments"), statusOf);
        return {
          held: (before["500"] ?? 0) > 0 && after["200"] === 100 && bad.calls > 0 && good.calls === 100,
          measured: `one of two instances fails: before ${show(before)}; with retries ${show(after)}, ${bad.calls} failed tries hidden`,
        };
      } finally {
        bad.reset();
      }
    },
  },
  {
    name: "timeout",
    policy: "timeout.yaml",
    async run(town) {
      const app = town.app("stock-1");
      await town.apply("timeout.yaml");
      app.delayMs = 1000;
      try {
        const limited = () => town.callFrom("shop-1", "stock", { path: "/report" });
        const { status, milliseconds } = await waitFor("the timeout", limited, (answer) => answer.status === 504);
        const free = await town.callFrom("shop-1", "stock", { path: "/item" });
        return {
          held: status === 504 && milliseconds >= TIMEOUT_MS * 0.9 && milliseconds < 1000 && free.status === 200,
          measured: `app takes 1 s: /report -> ${status} after ${Math.round(milliseconds)} ms (limit ${TIMEOUT_MS}), /item -> ${free.status} after ${Math.round(free.milliseconds)} ms`,
        };
      } finally {
        app.reset();
      }
    },
  },
  {
    name: "circuit breaking",
    policy: "circuit-breaker.yaml",
    async run(town) {
      const app = town.app("stock-1");
      await town.apply("circuit-breaker.yaml");
      app.delayMs = 2000;
      try {
        const target = { to: town.place("shop-1").outbound, host: "stock" };
        const cluster = "outbound\\|8080\\|\\|stock\\.";
        const { within, above, counted } = await overload(target, {
          caller: town.sidecar("shop-1"),
          cluster,
          app,
          connections: 2,
          extra: 17,
        });
        const passed = within.filter(({ status }) => status === 200).length;
        const refused = above.filter(isOverflow);
        const slowest = Math.round(Math.max(...refused.map(({ milliseconds }) => milliseconds)));
        return {
          held: passed === 3 && refused.length === 17 && counted === 17 && app.mostInFlight === 2,
          measured: `2 in flight + 1 queued: ${passed} x 200; 17 more: ${refused.length} x 503 UO within ${slowest} ms; app saw at most ${app.mostInFlight} at a time`,
        };
      } finally {
        app.reset();
      }
    },
  },
  {
    name: "PERMISSIVE mTLS",
    policy: "permissive.yaml",
    async run(town) {
      await town.apply("permissive.yaml");
      const plaintext = await town.callPlaintext("orders-v1");
      const mutual = await town.callFrom("shop-1", "orders");
      return {
        held: plaintext.status === 200 && mutual.status === 200 && usedMtls(mutual) && !usedMtls(plaintext),
        measured: `legacy client in plaintext -> ${plaintext.status}; shop over mTLS -> ${mutual.status}`,
      };
    },
  },
  {
    name: "STRICT mTLS",
    policy: "strict.yaml",
    async run(town) {
      await town.apply("strict.yaml");
      const plaintext = await waitFor(
        "plaintext to be refused",
        () => town.callPlaintext("orders-v1"),
        ({ status }) => status === 0,
      );
      const mutual = await town.callFrom("shop-1", "orders");
      return {
        held: plaintext.status === 0 && mutual.status === 200 && usedMtls(mutual),
        measured: `legacy client in plaintext -> connection closed; shop over mTLS -> ${mutual.status}`,
      };
    },
  },
  {
    name: "authorization",
    policy: "authorization.yaml",
    async run(town) {
      await town.apply("authorization.yaml");
      const stock = await waitFor(
        "stock to be refused",
        () => town.callFrom("stock-1", "orders"),
        ({ status }) => status === 403,
      );
      const shop = await town.callFrom("shop-1", "orders");
      const post = await town.callFrom("shop-1", "orders", { method: "POST" });
      return {
        held: stock.status === 403 && shop.status === 200 && post.status === 403,
        measured: `GET by shop -> ${shop.status}; POST by shop -> ${post.status}; GET by stock -> ${stock.status} "${stock.text}"`,
      };
    },
  },
  {
    name: "effective mTLS mode",
    async run(town) {
      const { status, json } = await town.weft.api("GET", "/v1/services/orders/mtls");
      const { service, mtls_mode, workloads } = (json ?? {}) as Record<string, unknown>;
      const short = JSON.stringify({ service, mtls_mode, workloads });
      return {
        held: status === 200 && short === '{"service":"orders","mtls_mode":"STRICT","workloads":["orders-v1","orders-v2"]}',
        measured: short,
      };
    },
  },
];

function usedMtls({ echo }: Answer): boolean {
  return echo?.headers["x-forwarded-client-cert"]?.includes("URI=spiffe://mesh.local/") ?? false;
}
