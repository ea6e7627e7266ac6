/**
 * Tokens of the admin API with a role. The store holds their SHA-256 only: with 256 random bits there is nothing to guess, so a slow hash would
 * protect nothing more and cost every call. They are looked up by that digest, so the time of a lookup tells nothing about a token.
 */
import { createHash, randomBytes } from "node:crypto";
import * as v from "valibot";
import { type Principal, ROLES, type Role } from "../admin/access.ts";
import type { Caller } from "../admin/context.ts";
import type { Clock } from "../lib/clock.ts";
import { WeftError } from "../lib/errors.ts";
import type { PrivateRecord, Store } from "../store/store.ts";

export const ACCESS_TOKENS = "access-tokens";
/** So that a leaked one is recognised, by people and by secret scanners. */
const PREFIX = "weft_access_";
const TOKEN_BYTES = 32;
const DAY_MS = 86_400_000;
/** A quarter of a year: long for a pipeline, short for a laptop that was sold. */
const LIFETIME_MS = 90 * DAY_MS;
const LONGEST_LIFETIME_MS = 366 * DAY_MS;
/** Ended ones are kept for so long, so that their name still says in a list what became of them. */
const KEPT_MS = 30 * DAY_MS;
/** Each time somebody else has changed the same token, so it ends. */
const MOST_TRIES = 10;
const NAME = /^[a-z0-9](?:[-a-z0-9.]{0,61}[a-z0-9])?$/;

const StoredSchema = v.object({
  hash: v.string(),
  role: v.picklist(ROLES),
  namespaces: v.array(v.string()),
  createdAt: v.number(),
  expiresAt: v.number(),
  createdBy: v.string(),
  revokedAt: v.optional(v.number()),
});
type Stored = v.InferOutput<typeof StoredSchema>;

/** Times are milliseconds since the epoch. */
export interface AccessToken {
  readonly name: string;
  readonly role: Role;
  readonly namespaces: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly createdBy: string;
  readonly revokedAt?: number;
  readonly state: "valid" | "expired" | "revoked";
}

export interface NewAccessToken {
  readonly name: string;
  readonly role: Role;
  /** Of an editor: at least one. */
  readonly namespaces: readonly string[];
  /** 90 days where absent. */
  readonly lifetimeMs?: number;
}

export class AccessTokens {
  readonly #store: Pick<Store, "readPrivate" | "writePrivate">;
  readonly #clock: Clock;
  /** By name. */
  readonly #tokens = new Map<string, Stored>();
  readonly #byHash = new Map<string, string>();
  #reading: Promise<unknown> = Promise.resolve();

  private constructor(store: Pick<Store, "readPrivate" | "writePrivate">, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** For a store that is known to hold none. */
  static empty(store: Pick<Store, "readPrivate" | "writePrivate">, clock: Clock): AccessTokens {
    return new AccessTokens(store, clock);
  }

  /** @throws WeftError "unavailable" where the store cannot be read, or holds what is none of them */
  static async open(store: Pick<Store, "readPrivate" | "writePrivate">, clock: Clock): Promise<AccessTokens> {
    const tokens = AccessTokens.empty(store, clock);
    await tokens.reload();
    return tokens;
  }

  /** After another node changed them. @throws as `open`: those that were known stay then */
  async reload(): Promise<void> {
    await this.#reload();
  }

  /** @returns the records as they are stored */
  #reload(): Promise<ReadonlyMap<string, PrivateRecord["value"]>> {
    // One after the other: what was read first must not be taken up last.
    const reading = this.#reading.then(() => this.#read());
    this.#reading = reading.catch(() => {});
    return reading;
  }

  async #read(): Promise<ReadonlyMap<string, PrivateRecord["value"]>> {
    const records = await this.#store.readPrivate(ACCESS_TOKENS);
    const read = new Map<string, Stored>();
    for (const { id, value } of records) {
      const parsed = v.safeParse(StoredSchema, value);
      if (!parsed.success) throw new WeftError("unavailable", `the store is damaged: access token ${id} cannot be read`);
      read.set(id, parsed.output);
    }
    this.#tokens.clear();
    this.#byHash.clear();
    for (const [name, stored] of read) this.#keep(name, stored);
    return new Map(records.map(({ id, value }) => [id, value]));
  }

  /** @returns the token, which is shown this once. @throws WeftError "invalid", "conflict" (the name is taken), "unavailable" */
  async create(
    { name, role, namespaces, lifetimeMs = LIFETIME_MS }: NewAccessToken,
    caller: Caller,
  ): Promise<AccessToken & { token: string }> {
    if (!NAME.test(name)) {
      throw new WeftError("invalid", `"${name}" cannot name an access token`, { help: "lower case letters, digits, - and ., at most 63" });
    }
    if (role === "editor" && namespaces.length === 0) {
      throw new WeftError("invalid", "An editor needs the namespaces that it may change", {
        help: "--namespace NS, several times for several",
      });
    }
    if (role !== "editor" && namespaces.length > 0) throw new WeftError("invalid", `Namespaces go with role editor, not with ${role}`);
    if (!(lifetimeMs > 0 && lifetimeMs <= LONGEST_LIFETIME_MS)) {
      throw new WeftError("invalid", "An access token lives for at most 366 days", {
        help: "make a new one when it ends: nothing has to stop for it",
      });
    }
    const now = this.#clock.now();
    const token = `${PREFIX}${randomBytes(TOKEN_BYTES).toString("base64url")}`;
    const stored: Stored = {
      hash: digest(token),
      role,
      namespaces: [...new Set(namespaces)].sort(),
      createdAt: now,
      expiresAt: now + lifetimeMs,
      createdBy: caller.who,
    };
    await this.#write(name, caller, "create-access", (known) => {
      if (known && stateOf(known, now) === "valid") {
        throw new WeftError("conflict", `there is an access token ${name}`, {
          help: `weft access revoke ${name} ends it; or choose another name`,
        });
      }
      return stored;
    });
    return { ...shown(name, stored, now), token };
  }

  /** It is refused from now on, also on connections that are open. @throws WeftError "not_found", "unavailable" */
  async revoke(name: string, caller: Caller): Promise<AccessToken> {
    const now = this.#clock.now();
    const revoked = await this.#write(name, caller, "revoke-access", (known) => {
      if (!known) throw new WeftError("not_found", `there is no access token ${name}`, { help: "weft access list shows them" });
      return { ...known, revokedAt: known.revokedAt ?? now };
    });
    return shown(name, revoked, now);
  }

  /** Sorted by name; without the tokens, which nobody has any more. */
  list(): readonly AccessToken[] {
    const now = this.#clock.now();
    return [...this.#tokens].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, stored]) => shown(name, stored, now));
  }

  /** @throws WeftError "unauthenticated" where it ended or was revoked. @returns undefined where it is none of these */
  authenticate(presented: string): Principal | undefined {
    const name = this.#byHash.get(digest(presented));
    const stored = name === undefined ? undefined : this.#tokens.get(name);
    if (name === undefined || !stored) return undefined;
    const state = stateOf(stored, this.#clock.now());
    if (state !== "valid")
      throw new WeftError("unauthenticated", `Access token ${name} is ${state}`, { help: "ask an admin for a new one" });
    const { role, namespaces } = stored;
    return { who: `access token ${name} (${role}${namespaces.length > 0 ? ` of ${namespaces.join(", ")}` : ""})`, role, namespaces };
  }

  /**
   * Writes what `change` makes of the token as it is in the store: another node may have made, revoked or deleted it since it was last read here.
   * @returns what was written. @throws what `change` throws
   */
  async #write(name: string, caller: Caller, action: string, change: (known: Stored | undefined) => Stored): Promise<Stored> {
    for (let tries = 1; ; tries++) {
      const records = await this.#reload();
      const stored = change(this.#tokens.get(name));
      const now = this.#clock.now();
      const deletes = [...this.#tokens]
        .filter(([other, { expiresAt, revokedAt }]) => other !== name && (revokedAt ?? expiresAt) + KEPT_MS < now)
        .map(([other]) => other);
      const scope = stored.namespaces.length > 0 ? ` of ${stored.namespaces.join(", ")}` : "";
      const audit = { ...caller, action, outcome: "done", targets: [`access token ${name} (${stored.role}${scope})`] } as const;
      const expects = [name, ...deletes].map((id) => ({ id, value: records.get(id) }));
      try {
        await this.#store.writePrivate({ collection: ACCESS_TOKENS, puts: [{ id: name, value: stored }], deletes, expects, audit });
      } catch (reason) {
        if (!(reason instanceof WeftError) || reason.code !== "conflict" || tries === MOST_TRIES) throw reason;
        continue;
      }
      for (const gone of [...deletes, name]) this.#forget(gone);
      this.#keep(name, stored);
      // Over what was being read from before; where it fails, whoever follows the store says so.
      await this.reload().catch(() => {});
      return stored;
    }
  }

  #keep(name: string, stored: Stored): void {
    this.#tokens.set(name, stored);
    this.#byHash.set(stored.hash, name);
  }

  #forget(name: string): void {
    const stored = this.#tokens.get(name);
    if (stored) this.#byHash.delete(stored.hash);
    this.#tokens.delete(name);
  }
}

function stateOf({ expiresAt, revokedAt }: Stored, now: number): AccessToken["state"] {
  if (revokedAt !== undefined) return "revoked";
  return now < expiresAt ? "valid" : "expired";
}

function shown(name: string, { hash: _, ...stored }: Stored, now: number): AccessToken {
  return { name, ...stored, state: stateOf({ hash: "", ...stored }, now) };
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
