import { describe, expect, test } from "bun:test";
import { WeftError } from "../../src/lib/errors.ts";
import { parseEtcdUrl } from "../../src/store/etcd/url.ts";
import { memberWarnings } from "../../src/store/etcd/warnings.ts";

describe("the address of an etcd", () => {
  test("names its members, with port 2379 where it names none, and a prefix, /weft where it names none", () => {
    expect(parseEtcdUrl("etcd://10.0.0.1,db-2.example:23790,[::1]", {})).toEqual({
      members: ["10.0.0.1:2379", "db-2.example:23790", "[::1]:2379"],
      prefix: "/weft",
      tls: false,
      name: "etcd://10.0.0.1:2379,db-2.example:23790,[::1]:2379/weft",
    });
    expect(parseEtcdUrl("etcd://a:1/", {}).prefix).toBe("/weft");
    expect(parseEtcdUrl("etcd://a:1/mesh/one/", {}).prefix).toBe("/mesh/one");
  });

  test("names files for TLS, and who weft is; what people read shows neither", () => {
    const address = parseEtcdUrl("etcds://weft:p%40ss@a:1/p?ca=/c.pem&cert=/x.pem&key=/k.pem", {});
    expect(address).toEqual({
      members: ["a:1"],
      prefix: "/p",
      tls: true,
      caFile: "/c.pem",
      certificateFile: "/x.pem",
      keyFile: "/k.pem",
      user: "weft",
      password: "p@ss",
      name: "etcds://a:1/p",
    });
    expect(parseEtcdUrl("etcd://weft@a?password-file=/secret", {})).toMatchObject({ user: "weft", passwordFile: "/secret" });
    expect(parseEtcdUrl("etcd://weft@a", { WEFT_STORE_PASSWORD: "s" })).toMatchObject({ user: "weft", password: "s" });
  });

  test("that can be none is refused with what is wrong, and never repeats a password", () => {
    const refused: readonly [string, string][] = [
      ["etcd://", "no HOST:PORT"],
      ["etcd:10.0.0.1:2379", "no address"],
      ["etcd://a:1,,b:2", "no HOST:PORT"],
      ["etcd://a:0", "no HOST:PORT"],
      ["etcd://a:65536", "no HOST:PORT"],
      ["etcd://weft:s3cret@a b", "no HOST:PORT"],
      ["etcd://weft:s3cret@a:1?user=weft", 'no parameter "user"'],
      ["etcd://weft:s3cret@a:1?ca=/c.pem", "etcds://"],
      ["etcds://weft:s3cret@a:1?cert=/c.pem", "both cert=FILE and key=FILE"],
      ["etcd://weft@a:1", "WEFT_STORE_PASSWORD"],
      ["etcd://a:1?password-file=/f", "needs a user"],
      ["etcd://weft:s3cret%@a:1", "%25"],
      ["etcd://weft:s3cret/x@a:1", ""],
    ];
    for (const [url, says] of refused) {
      let failure: unknown;
      try {
        parseEtcdUrl(url, {});
      } catch (reason) {
        failure = reason;
      }
      expect([url, failure]).toEqual([url, expect.any(WeftError)]);
      const { code, message } = failure as WeftError;
      expect([url, code]).toEqual([url, "invalid"]);
      expect(message).toContain(says);
      expect(message).not.toContain("s3cret");
    }
  });
});

describe("a member of etcd is warned about", () => {
  const status = { version: "3.6.16", errors: [], dbSize: 10n, dbSizeQuota: 0n };

  test("where its version loses watch events: before 3.5.33, and of 3.6 before 3.6.14", () => {
    const warned = ["3.3.27", "3.4.23", "3.5.0", "3.5.32", "3.6.0", "3.6.13", "3.6.0-rc.1"];
    const good = ["3.5.33", "3.5.40", "3.6.14", "3.6.16", "3.7.0", "4.0.0"];
    const about = (version: string) => memberWarnings("a:2379", { ...status, version });
    for (const version of warned) expect([version, about(version)]).toEqual([version, [expect.stringContaining("3.5.33 and 3.6.14")]]);
    for (const version of good) expect([version, about(version)]).toEqual([version, []]);
  });

  test("where four fifths of its quota are used, which is 2 GiB where it tells none", () => {
    const about = (dbSize: bigint, dbSizeQuota: bigint) => memberWarnings("a:2379", { ...status, dbSize, dbSizeQuota });
    expect(about(79n, 100n)).toEqual([]);
    expect(about(81n, 100n)).toEqual([expect.stringContaining("81 %")]);
    expect(about(1_600_000_000n, 0n)).toEqual([]);
    expect(about(1_900_000_000n, 0n)).toEqual([expect.stringContaining("88 %")]);
  });

  test("where it raises an alarm", () => {
    expect(memberWarnings("a:2379", { ...status, errors: ["memberID:1 alarm:NOSPACE "] })).toEqual([expect.stringContaining("NOSPACE")]);
  });
});
