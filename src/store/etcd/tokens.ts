/** The token by which etcd knows a user; it expires, and a member that was restarted has forgotten it. */
import { readPassword } from "../shared/secret-files.ts";
import { says } from "./failure.ts";
import type { Session } from "./member.ts";
import type { EtcdAddress } from "./url.ts";

/** etcd's name of the token's metadata: https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/metadatafields.go */
const HEADER = "token";

export class Tokens {
  readonly #address: EtcdAddress;
  /** "" where etcd asks nobody who he is. */
  #token: string | undefined;

  constructor(address: EtcdAddress) {
    this.#address = address;
  }

  /** Of a call; asks for a token where there is none. @throws what etcd answers to a wrong password */
  async headers(session: Session, signal: AbortSignal): Promise<Record<string, string>> {
    if (this.#address.user === undefined) return {};
    this.#token ??= await this.#authenticate(session, this.#address.user, signal);
    return this.#token === "" ? {} : { [HEADER]: this.#token };
  }

  /** The token of `headers` is no good: the next call gets another. @returns false where another would not help */
  drop(headers: Readonly<Record<string, string>>): boolean {
    if (this.#address.user === undefined) return false;
    if (this.#token === (headers[HEADER] ?? "")) this.#token = undefined;
    return true;
  }

  async #authenticate(session: Session, name: string, signal: AbortSignal): Promise<string> {
    const { password, passwordFile } = this.#address;
    const secret = passwordFile === undefined ? (password ?? "") : readPassword(passwordFile);
    try {
      return (await session.auth.authenticate({ name, password: secret }, { signal })).token;
    } catch (reason) {
      if (says(reason, "authentication is not enabled")) return "";
      throw reason;
    }
  }
}
