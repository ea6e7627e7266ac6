/** The supervisor's rules, tried on programs that misbehave as Envoy might, on a clock that the test moves. */
import { expect, test } from "bun:test";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { envoyBootstrap } from "../../src/proxy/bootstrap.ts";
import { BOOTSTRAP_LIMIT_MS, TERMINATE_LIMIT_MS } from "../../src/proxy/constants.ts";
import { drain, openWork } from "../../src/proxy/drain.ts";
import { type SuperviseOptions, superviseEnvoy } from "../../src/proxy/supervise.ts";
import { FakeClock } from "../fakes/clock.ts";
import { FakeSignals, isRunning, waitFor } from "./harness.ts";

interface Setup {
  readonly clock: FakeClock;
  readonly signals: FakeSignals;
  /** "warn: message". */
  readonly lines: string[];
  readonly runs: { readonly pid: number; readonly adminAddressFile: string }[];
  readonly dir: string;
  readonly done: Promise<void>;
}

/** Supervises a shell script in Envoy's place. `$READY` in it is a file by which it can say that it is set up. */
async function withScript(
  script: string,
  body: (setup: Setup) => Promise<void>,
  bootstrap: (clock: FakeClock) => Promise<Record<string, unknown>> = async () => ({ admin: "secret" }),
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  const envoyPath = join(dir, "envoy");
  await writeFile(envoyPath, `#!/bin/sh\nREADY=${dir}/ready\n${script}\n`);
  await chmod(envoyPath, 0o755);
  const clock = new FakeClock();
  const signals = new FakeSignals();
  const lines: string[] = [];
  const runs: Setup["runs"] = [];
  const options: SuperviseOptions = {
    envoyPath,
    bootstrap: () => bootstrap(clock),
    clock,
    signals,
    log: (level, message) => lines.push(`${level}: ${message}`),
    onStart: (run) => runs.push(run),
  };
  const done = superviseEnvoy(options);
  let over = false;
  void done.catch(() => {}).then(() => (over = true));
  try {
    await body({ clock, signals, lines, runs, dir, done });
  } finally {
    signals.send("SIGTERM");
    signals.send("SIGTERM");
    const last = runs.at(-1);
    if (last && isRunning(last.pid)) process.kill(last.pid, "SIGKILL");
    await waitFor("the supervisor ends", () => over);
    await rm(dir, { recursive: true, force: true });
  }
}

/** Waits for the `count`th report of a crash, and gives the wait that it announces, in milliseconds. */
async function announcedWait(lines: readonly string[], count: number): Promise<number> {
  return waitOf(await waitFor(`report ${count} of a crash`, () => lines[count - 1])) ?? Number.NaN;
}

const waitOf = (line: string | undefined) => (line === undefined ? undefined : Number(/again in ([\d.]+) s/.exec(line)?.[1]) * 1_000);

const STAYS = "exec sleep 600";
const MINUTE_MS = 60_000;

test("An Envoy that crashes is started again, after waits that double up to half a minute.", () =>
  withScript("exit 7", async ({ clock, lines, runs }) => {
    const waits: number[] = [];
    for (let crash = 1; crash <= 9; crash++) {
      const wait = await announcedWait(lines, crash);
      waits.push(wait);
      expect(runs.length).toBe(crash);
      await clock.advance(wait - 1);
      expect(runs.length).toBe(crash);
      await clock.advance(1);
      await waitFor("the next run", () => runs.length === crash + 1);
    }
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(lines[0]).toBe("warn: Envoy exited with code 7; starting it again in 0.25 s");
    expect(lines[1]).toStartWith("warn: ");
    expect(lines[2]).toStartWith("error: Envoy is in a crash loop: it exited with code 7, for the 3. time");
  }));

test("After a healthy minute the waits begin anew.", () =>
  withScript(STAYS, async ({ clock, lines, runs }) => {
    const crash = async (count: number) => {
      const run = await waitFor("a run", () => runs[count - 1]);
      process.kill(run.pid, "SIGKILL");
      const wait = await announcedWait(lines, count);
      await clock.advance(wait);
      return wait;
    };
    expect(await crash(1)).toBe(250);
    expect(await crash(2)).toBe(500);
    await waitFor("the third run", () => runs.length === 3);
    await clock.advance(60_000);
    expect(await crash(3)).toBe(250);
    expect(lines[2]).toBe("warn: Envoy was ended by SIGKILL; starting it again in 0.25 s");
  }));

test("An Envoy that ends with exit code 0 was asked to, and is not started again.", () =>
  withScript("exit 0", async ({ lines, runs, done }) => {
    await done;
    expect(runs.length).toBe(1);
    expect(lines).toEqual(["info: Envoy ended by itself, with exit code 0: that is no crash, and weft ends too"]);
  }));

test("A signal between two runs ends the supervisor at once.", () =>
  withScript("exit 1", async ({ lines, runs, signals, done }) => {
    await announcedWait(lines, 1);
    signals.send("SIGTERM");
    await done;
    expect(runs.length).toBe(1);
    expect(signals.count).toBe(0);
  }));

test("An Envoy that ignores SIGTERM is killed after five seconds.", () =>
  withScript('trap "" TERM; touch $READY; while :; do sleep 0.05; done', async ({ clock, dir, lines, runs, signals, done }) => {
    await waitFor("the script ignores SIGTERM", async () => (await readdir(dir)).includes("ready"));
    const pid = runs[0]?.pid ?? 0;
    signals.send("SIGTERM");
    await waitFor("the supervisor has no admin port to drain by", () => lines.some((line) => line.includes("ended without draining")));
    await clock.advance(TERMINATE_LIMIT_MS - 1);
    expect(isRunning(pid)).toBe(true);
    await clock.advance(1);
    await done;
    expect(isRunning(pid)).toBe(false);
    expect(lines.at(-1)).toContain("it is killed");
  }));

test.each(["SIGHUP", "SIGUSR1", "SIGUSR2"] as const)("%s is passed on to Envoy.", (name) =>
  withScript(`trap 'touch "$READY.got"' ${name.slice(3)}; touch $READY; while :; do sleep 0.05; done`, async ({ dir, signals }) => {
    await waitFor("the script has its trap", async () => (await readdir(dir)).includes("ready"));
    signals.send(name);
    await waitFor("the signal arrives", async () => (await readdir(dir)).includes("ready.got"));
  }),
);

test("The bootstrap is in a file that only its owner can read, in a directory that is gone afterwards.", () =>
  withScript(STAYS, async ({ runs, signals, done }) => {
    const run = await waitFor("a run", () => runs[0]);
    const directory = join(run.adminAddressFile, "..");
    const file = join(directory, "bootstrap.json");
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual({ admin: "secret" });
    signals.send("SIGTERM");
    await done;
    expect(await stat(directory).catch(() => "gone")).toBe("gone");
  }));

/** A script in Envoy's place that keeps a copy of each bootstrap that it is given. `$2`: --config-path FILE comes first. */
const COPIES = 'cp "$2" "$READY.$$"; exec sleep 600';

test("Each start takes a new bootstrap; where there is none after a crash, the last one is used again, and that is said.", async () => {
  let asked = 0;
  let away = false;
  const bootstrap = async () => {
    asked++;
    if (away) throw new Error("weft is away");
    return { number: asked };
  };
  await withScript(
    COPIES,
    async ({ clock, dir, lines, runs }) => {
      const given = async (count: number): Promise<unknown> => {
        const { pid } = await waitFor(`run ${count}`, () => runs[count - 1]);
        const text = await waitFor("the copy", () => readFile(join(dir, `ready.${pid}`), "utf8").catch(() => ""));
        return JSON.parse(text);
      };
      const crash = async (count: number) => {
        process.kill(runs[count - 1]?.pid ?? 0, "SIGKILL");
        await clock.advance(await waitFor("the report", () => waitOf(lines.filter((line) => line.includes("again in"))[count - 1])));
      };
      expect(await given(1)).toEqual({ number: 1 });
      await crash(1);
      expect(await given(2)).toEqual({ number: 2 });
      expect(lines.filter((line) => line.includes("bootstrap"))).toEqual([]);
      away = true;
      await crash(2);
      expect(await given(3)).toEqual({ number: 2 });
      expect(asked).toBe(3);
      expect(lines).toContain("warn: there is no new bootstrap (weft is away); Envoy is started with the last one");
    },
    bootstrap,
  );
});

test("A weft that does not answer delays the start after a crash by two seconds, no more.", async () => {
  let asked = 0;
  await withScript(
    STAYS,
    async ({ clock, lines, runs }) => {
      process.kill((await waitFor("a run", () => runs[0])).pid, "SIGKILL");
      await clock.advance(await announcedWait(lines, 1));
      await waitFor("the question", () => asked === 2);
      await clock.advance(BOOTSTRAP_LIMIT_MS - 1);
      expect(runs.length).toBe(1);
      await clock.advance(1);
      await waitFor("the second run", () => runs.length === 2);
      expect(lines.at(-1)).toContain("no answer within 2 s");
    },
    () => (++asked === 1 ? Promise.resolve({}) : new Promise(() => {})),
  );
});

test("Without a bootstrap for the first start the supervisor fails as the asking did, and leaves nothing behind.", async () => {
  const runtimeDirectory = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    const signals = new FakeSignals();
    const bootstrap = () => Promise.reject(new Error("there is no workload"));
    const run = superviseEnvoy({ envoyPath: "", bootstrap, clock: new FakeClock(), signals, log: () => {}, runtimeDirectory });
    await expect(run).rejects.toThrow("there is no workload");
    expect([signals.count, await readdir(runtimeDirectory)]).toEqual([0, []]);
  } finally {
    await rm(runtimeDirectory, { recursive: true, force: true });
  }
});

test("While Envoy runs, its token is renewed in the middle of its life, in the file that Envoy reads it from.", () => {
  let asked = 0;
  return withScript(
    STAYS,
    async ({ clock, lines, runs, signals, done }) => {
      const { adminAddressFile } = await waitFor("a run", () => runs[0]);
      const tokenFile = join(adminAddressFile, "..", "token.json");
      const first = await readFile(tokenFile, "utf8");
      expect((await stat(tokenFile)).mode & 0o777).toBe(0o600);
      expect(await readFile(join(adminAddressFile, "..", "bootstrap.json"), "utf8")).not.toContain("Bearer");
      await clock.advance(30 * MINUTE_MS - 1);
      expect(asked).toBe(1);
      await clock.advance(1);
      const second = await waitFor("another token", async () => {
        const now = await readFile(tokenFile, "utf8");
        return now === first ? undefined : now;
      });
      expect(asked).toBe(2);
      await clock.advance(30 * MINUTE_MS);
      await waitFor("a third token", async () => ((await readFile(tokenFile, "utf8")) === second ? undefined : true));
      expect([runs.length, lines]).toEqual([1, []]);
      signals.send("SIGTERM");
      await done;
      expect(clock.pending).toBe(0);
    },
    async (clock) => {
      asked += 1;
      return withToken(clock.now(), clock.now() + 60 * MINUTE_MS);
    },
  );
});

test("While weft is away its proxies ask again, and tell so in the last third of the token's life.", () => {
  let away = false;
  return withScript(
    STAYS,
    async ({ clock, lines, runs, signals, done }) => {
      await waitFor("a run", () => runs[0]);
      away = true;
      for (let minute = 0; minute < 39; minute++) await clock.advance(MINUTE_MS);
      expect(lines).toEqual([]);
      for (let minute = 0; minute < 25; minute++) await clock.advance(MINUTE_MS);
      expect(lines.length).toBeGreaterThan(10);
      expect(lines[0]).toMatch(/^warn: there is no new token \(weft is away\); the present one ends at 2026-01-01T01:00:00.000Z/);
      expect(lines.at(-1)).toContain("ended at 2026-01-01T01:00:00.000Z");
      away = false;
      await clock.advance(MINUTE_MS);
      await waitFor("the new token", () => lines.at(-1) === "info: weft answers again: this Envoy has a new token");
      signals.send("SIGTERM");
      await done;
    },
    async (clock) => {
      if (away) throw new Error("weft is away");
      return withToken(clock.now(), clock.now() + 60 * MINUTE_MS);
    },
  );
});

/** weft's bootstrap, with a token of that life. */
function withToken(issuedAt: number, expiresAt: number): Record<string, unknown> {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const token = `${part({ alg: "ES256" })}.${part({ iat: issuedAt / 1_000, exp: expiresAt / 1_000 })}.sig`;
  return envoyBootstrap({ workload: { namespace: "default", name: "orders" }, token, ads: { host: "127.0.0.1", port: 1 } });
}

test("A program that cannot be started at all is an error that names it, not a crash to try again.", async () => {
  const dir = await mkdtemp(join(tmpdir(), "weft-test-"));
  try {
    const envoyPath = join(dir, "envoy");
    const signals = new FakeSignals();
    const run = superviseEnvoy({ envoyPath, bootstrap: async () => ({}), clock: new FakeClock(), signals, log: () => {} });
    await expect(run).rejects.toThrow(`Envoy cannot be started: ${envoyPath}: ENOENT`);
    expect(signals.count).toBe(0);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("Without a directory to write to, the message names it and the mend.", async () => {
  const runtimeDirectory = "/proc/nowhere";
  const run = superviseEnvoy({
    envoyPath: "",
    bootstrap: async () => ({}),
    clock: new FakeClock(),
    signals: new FakeSignals(),
    log: () => {},
    runtimeDirectory,
  });
  await expect(run).rejects.toThrow(expect.objectContaining({ code: "unavailable", help: expect.stringContaining("TMPDIR") }));
});

test("Work in flight is requests, and connections that carry no HTTP; not idle keep-alive, nor Envoy's admin port.", () => {
  const stats = (values: Record<string, number>) =>
    Object.entries(values)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n");
  const idle = {
    "http.admin.downstream_cx_active": 1,
    "http.admin.downstream_rq_active": 1,
    "http.inbound_8080.downstream_cx_active": 3,
    "http.inbound_8080.downstream_rq_active": 0,
    "listener.127.0.0.1_8080.downstream_cx_active": 3,
    "listener.127.0.0.1_8080.worker_0.downstream_cx_active": 3,
    "listener.admin.downstream_cx_active": 1,
  };
  expect(openWork(stats(idle))).toEqual({ inFlight: 0, connections: 3 });
  expect(openWork(stats({ ...idle, "http.inbound_8080.downstream_rq_active": 2 }))).toEqual({ inFlight: 2, connections: 3 });
  expect(openWork(stats({ ...idle, "listener.127.0.0.1_5432.downstream_cx_active": 4 }))).toEqual({ inFlight: 4, connections: 7 });
  expect(openWork("")).toEqual({ inFlight: 0, connections: 0 });
});

test("Under steady load, where it is never idle, Envoy stops listening at half of the limit, and what it has then can still end.", async () => {
  const calls: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      if (request.method === "POST") calls.push(pathname + search);
      return new Response(`http.inbound.downstream_rq_active: ${calls.at(-1) === "/drain_listeners" ? 0 : 5}\n`);
    },
  });
  try {
    const admin = `127.0.0.1:${server.port}`;
    const left = await drain({ admin, clock: systemClock, limitMs: 400, signal: new AbortController().signal });
    expect(left).toBe(0);
    expect(calls).toEqual(["/drain_listeners?graceful&skip_exit", "/drain_listeners"]);
  } finally {
    await server.stop(true);
  }
});
