/**
 * Runs a workload's Envoy for as long as weft lives: starts it, starts it again when it crashes, and ends it without breaking requests.
 *
 * @example
 * await superviseEnvoy({ envoyPath: findEnvoy(process.env), bootstrap: async () => envoyBootstrap(options), clock: systemClock, ... });
 */
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/clock.ts";
import { errnoOf, WeftError } from "../lib/errors.ts";
import type { ProcessSettings } from "../lib/process-settings.ts";
import { authorizationOf, processOf } from "./bootstrap.ts";
import { isConnectedToWeft } from "./connected.ts";
import {
  BOOTSTRAP_LIMIT_MS,
  CRASH_LOOP,
  DRAIN_LIMIT_MS,
  HEALTHY_RUN_MS,
  RESTART_FIRST_MS,
  RESTART_LONGEST_MS,
  TERMINATE_LIMIT_MS,
} from "./constants.ts";
import { drain } from "./drain.ts";
import { TrustFollower } from "./follow-roots.ts";
import { type Ended, type EnvoyProcess, type Output, startEnvoy } from "./process.ts";
import { keepTokenFresh } from "./renew-token.ts";
import type { SignalSource } from "./signals.ts";
import { withTokenFile, writeTokenFile } from "./token-file.ts";
import { type TokenLife, tokenLife } from "./token-life.ts";
import { adsTlsOf, withTrustFile } from "./trust-file.ts";

export interface SuperviseOptions {
  readonly envoyPath: string;
  /**
   * Asked before each start of Envoy, and again in the middle of each token's life, for its token alone; what it gives, as envoyBootstrap makes it, is
   * written to files of mode 0600 that are gone afterwards. Where it rejects before the first start, so does superviseEnvoy; later the last one is used
   * on, and it is asked again.
   */
  readonly bootstrap: () => Promise<Readonly<Record<string, unknown>>>;
  /** Further arguments of the user's for Envoy; they replace weft's defaults. */
  readonly args?: readonly string[];
  /** The roots (PEM) by which weft is to be known now; asked every TRUST_CHECK_MS where Envoy reaches ADS over TLS. */
  readonly roots?: () => Promise<string>;
  readonly clock: Clock;
  /** What the operator should know. Envoy's own log is not part of it: that goes to `output.stderr`. */
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  readonly signals: SignalSource;
  readonly output?: Output;
  /** Where the bootstrap's own directory is made; default the system's directory for temporary files. */
  readonly runtimeDirectory?: string;
  /** How long SIGTERM waits for requests in flight; milliseconds. */
  readonly drainLimitMs?: number;
  /** Told each time that Envoy has started. */
  readonly onStart?: (run: { readonly pid: number; readonly adminAddressFile: string }) => void;
}

/**
 * Resolves when Envoy has ended because a signal, or its admin interface, asked for it. SIGTERM and SIGINT drain, a second one of them ends at once; SIGHUP, SIGUSR1
 * (Envoy reopens its access logs) and SIGUSR2 (Envoy has no handler: it ends, and is started again) are passed on.
 * @throws WeftError "unavailable" where Envoy cannot be started at all; what the first call of `bootstrap` throws.
 */
export async function superviseEnvoy(options: SuperviseOptions): Promise<void> {
  const directory = await makeDirectory(options.runtimeDirectory ?? tmpdir());
  const supervisor = new Supervisor(options, directory);
  // Between two runs of Envoy nothing else keeps this process: the clock's timers do not, nor do signal handlers.
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await supervisor.run();
  } finally {
    clearInterval(keepAlive);
    await rm(directory, { recursive: true, force: true });
  }
}

/** Only its owner can enter it: mkdtemp makes it 0700. */
async function makeDirectory(parent: string): Promise<string> {
  try {
    return await mkdtemp(join(parent, "weft-proxy-"));
  } catch (reason) {
    const why = errnoOf(reason) ?? String(reason);
    throw new WeftError("unavailable", `cannot make a directory in ${parent} for Envoy's bootstrap: ${why}`, {
      help: "set TMPDIR to a directory that weft can write to",
      cause: reason,
    });
  }
}

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #directory: string;
  readonly #bootstrapFile: string;
  readonly #tokenFile: string;
  readonly #trust: TrustFollower;
  readonly #adminAddressFile: string;
  readonly #stop = new AbortController();
  readonly #hurry = new AbortController();
  #envoy: EnvoyProcess | undefined;
  #token: TokenLife | undefined;
  #process: ProcessSettings = { environment: {} };

  constructor(options: SuperviseOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#bootstrapFile = join(directory, "bootstrap.json");
    this.#tokenFile = join(directory, "token.json");
    this.#trust = new TrustFollower(join(directory, "roots.json"), options.clock);
    this.#adminAddressFile = join(directory, "admin-address");
  }

  async run(): Promise<void> {
    const { bootstrap, clock, log, signals } = this.#options;
    await this.#take(await bootstrap());
    const unsubscribe = [
      ...(["SIGTERM", "SIGINT"] as const).map((name) => signals.on(name, () => this.#asked(name))),
      ...(["SIGHUP", "SIGUSR1", "SIGUSR2"] as const).map((name) => signals.on(name, () => this.#envoy?.kill(name))),
    ];
    try {
      let crashes = 0;
      while (!this.#stop.signal.aborted) {
        const started = clock.monotonic();
        const ended = await this.#runOnce();
        if (this.#stop.signal.aborted) return;
        if (ended.code === 0) {
          log("info", "Envoy ended by itself, with exit code 0: that is no crash, and weft ends too");
          return;
        }
        crashes = clock.monotonic() - started >= HEALTHY_RUN_MS ? 1 : crashes + 1;
        const waitMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (crashes - 1));
        this.#report(ended, crashes, waitMs);
        await this.#pause(waitMs);
        if (!this.#stop.signal.aborted) await this.#renewBootstrap();
      }
    } finally {
      for (const stop of unsubscribe) stop();
    }
  }

  async #take(bootstrap: Readonly<Record<string, unknown>>): Promise<void> {
    const next = `${this.#bootstrapFile}.new`;
    await this.#takeToken(bootstrap);
    const complete = withTrustFile(withTokenFile(bootstrap, this.#tokenFile), this.#trust.path);
    try {
      await writeFile(next, JSON.stringify(complete), { mode: 0o600 });
      // A full disk must not cost the one that works.
      await rename(next, this.#bootstrapFile);
    } finally {
      await rm(next, { force: true });
    }
    this.#process = processOf(bootstrap);
  }

  async #takeToken(bootstrap: Readonly<Record<string, unknown>>): Promise<TokenLife | undefined> {
    const authorization = authorizationOf(bootstrap);
    if (authorization !== undefined) await writeTokenFile(this.#tokenFile, authorization);
    this.#token = tokenLife(bootstrap);
    await this.#trust.take(adsTlsOf(bootstrap));
    return this.#token;
  }

  /** Never rejects: an Envoy with the last bootstrap is better than none. */
  async #renewBootstrap(): Promise<void> {
    const { bootstrap, clock, log } = this.#options;
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(BOOTSTRAP_LIMIT_MS, () => reject(new Error(`no answer within ${BOOTSTRAP_LIMIT_MS / 1_000} s`)));
    });
    try {
      const renewed = await Promise.race([bootstrap(), late, aborted(this.#stop.signal)]);
      if (renewed) await this.#take(renewed);
    } catch (reason) {
      const why = reason instanceof Error ? reason.message : String(reason);
      log("warn", `there is no new bootstrap (${why}); Envoy is started with the last one`);
    } finally {
      cancel();
    }
  }

  /** One life of Envoy, its drain included. */
  async #runOnce(): Promise<Ended> {
    const { envoyPath, args = [], clock, log, output = { stdout: "inherit", stderr: "inherit" }, onStart } = this.#options;
    await rm(this.#adminAddressFile, { force: true });
    const envoy = await startEnvoy(envoyPath, [...this.#ownArguments(), ...args], output, this.#directory, this.#process.environment);
    this.#envoy = envoy;
    onStart?.({ pid: envoy.pid, adminAddressFile: this.#adminAddressFile });
    const isConnected = async () => isConnectedToWeft((await readFile(this.#adminAddressFile, "utf8")).trim());
    const renew = async () => this.#takeToken(await this.#options.bootstrap());
    const unwatch = this.#token ? keepTokenFresh({ clock, life: this.#token, renew, isConnected, log }) : () => {};
    const unfollow = this.#trust.follow(this.#options.roots);
    const stopAsked = aborted(this.#stop.signal);
    const first = await Promise.race([envoy.ended, stopAsked]);
    unwatch();
    unfollow();
    if (!first) await this.#end(envoy);
    const ended = await envoy.ended;
    this.#envoy = undefined;
    return ended;
  }

  /** weft's own arguments; where the user gives one of the defaults, the user's alone, because Envoy takes no option twice. */
  #ownArguments(): string[] {
    const { args = [], drainLimitMs = DRAIN_LIMIT_MS } = this.#options;
    const { concurrency = 0 } = this.#process;
    const given = (name: string) => args.some((arg) => arg === name || arg.startsWith(`${name}=`));
    const unlessGiven = (names: readonly string[], ...values: string[]) => (names.some(given) ? [] : [names[0] ?? "", ...values]);
    return [
      ...["--config-path", this.#bootstrapFile],
      ...["--admin-address-path", this.#adminAddressFile],
      // Envoy's own default, info, prints some 80 lines of what is linked into it at every start.
      ...unlessGiven(["--log-level", "-l"], "warning"),
      // Without hot restart Envoy has no shared memory and no base id: any number run side by side, and a killed one leaves nothing behind.
      ...unlessGiven(["--disable-hot-restart"]),
      // Without it Envoy has a thread for each processor, which is what 0 means (Istio, pkg/envoy/proxy.go).
      ...(concurrency > 0 ? unlessGiven(["--concurrency"], String(concurrency)) : []),
      // At once, not more and more often over the drain time: each client is told with its next answer.
      ...unlessGiven(["--drain-strategy"], "immediate"),
      ...unlessGiven(["--drain-time-s"], String(Math.max(1, Math.ceil(drainLimitMs / 1_000)))),
    ];
  }

  async #end(envoy: EnvoyProcess): Promise<void> {
    const { clock, log, drainLimitMs = DRAIN_LIMIT_MS } = this.#options;
    const over = new AbortController();
    void envoy.ended.then(() => over.abort());
    const signal = AbortSignal.any([over.signal, this.#hurry.signal]);
    try {
      const admin = (await readFile(this.#adminAddressFile, "utf8")).trim();
      log("info", `draining Envoy (at most ${drainLimitMs / 1_000} s; a second signal ends it at once)`);
      const left = await drain({ admin, clock, limitMs: drainLimitMs, signal });
      if (left > 0) log("warn", `${left} requests or connections were still open after ${drainLimitMs / 1_000} s, and are cut off`);
    } catch (reason) {
      const why = reason instanceof Error ? reason.message : String(reason);
      if (!signal.aborted) log("warn", `Envoy is ended without draining: its admin port does not answer (${why})`);
    }
    envoy.kill("SIGTERM");
    const cancel = clock.after(TERMINATE_LIMIT_MS, () => {
      log("warn", `Envoy did not end within ${TERMINATE_LIMIT_MS / 1_000} s of SIGTERM: it is killed`);
      envoy.kill("SIGKILL");
    });
    await envoy.ended;
    cancel();
  }

  #asked(name: string): void {
    if (this.#stop.signal.aborted) this.#hurry.abort();
    else this.#stop.abort(name);
  }

  #report(ended: Ended, crashes: number, waitMs: number): void {
    const how = ended.signal ? `was ended by ${ended.signal}` : `exited with code ${ended.code}`;
    const next = `starting it again in ${waitMs / 1_000} s`;
    if (crashes < CRASH_LOOP) {
      this.#options.log("warn", `Envoy ${how}; ${next}`);
      return;
    }
    const again = `Envoy is in a crash loop: it ${how}, for the ${crashes}. time without a healthy minute between`;
    this.#options.log("error", `${again}; its own log, above, says why; ${next}`);
  }

  /** Ends early when a signal asks weft to stop. */
  async #pause(milliseconds: number): Promise<void> {
    await sleep(this.#options.clock, milliseconds, this.#stop.signal);
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
