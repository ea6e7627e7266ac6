import { describe, expect, test } from "bun:test";
import { WeftError } from "../../src/lib/errors.ts";
import { configureLogging, logger, parseLogLevel, redact } from "../../src/telemetry/log.ts";

function capture(isTTY: boolean, level: "debug" | "info" = "info") {
  const lines: string[] = [];
  configureLogging({ level, stream: { write: (text) => lines.push(text), isTTY }, env: { NO_COLOR: "1" } });
  return lines;
}

describe("Logs", () => {
  test("are one JSON object a line where stderr is no terminal", () => {
    const lines = capture(false);
    logger("ads").info("Stream of {proxy} opened", { proxy: "default/orders", protocol: "delta" });
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({
      level: "info",
      logger: "weft.ads",
      message: "Stream of default/orders opened",
      protocol: "delta",
    });
  });

  test("are text on a terminal, without color where NO_COLOR is set", () => {
    const lines = capture(true);
    logger("store").warning("Disk is nearly full", { free: "1 MiB" });
    expect(lines[0]).toMatch(/^\d{4}-.*Z WARNING store: Disk is nearly full free="1 MiB"\n$/);
    expect(lines[0]).not.toContain("\x1b");
  });

  test("show control characters as escapes, so that no proxy's words steer a terminal or forge a line", () => {
    const lines = capture(true);
    logger("ads").info("refused: {words}", { words: "a\x1b[2J\nb\u009bc" });
    expect(lines[0]).toContain("refused: a\\u001b[2J\\nb\\u009bc");
    expect(lines[0]?.indexOf("\n")).toBe((lines[0]?.length ?? 0) - 1);
  });

  test("below the level are not written", () => {
    const lines = capture(false);
    logger("ads").debug("nobody reads this");
    expect(lines).toEqual([]);
  });

  test("hold no token, private key or authorization header, wherever it stands", () => {
    const lines = capture(false);
    const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJkZWZhdWx0L29yZGVycyJ9.c2lnbmF0dXJl";
    const pem = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMG\n-----END PRIVATE KEY-----";
    logger("ca").error(`failed with ${jwt}`, {
      adminToken: "hunter2",
      deep: { headers: { authorization: "Bearer hunter2" } },
      key: pem,
      reason: new WeftError("unauthenticated", `bad token ${jwt}`, { cause: new Error("Bearer hunter2 refused") }),
    });
    const line = lines[0] ?? "";
    for (const secret of ["hunter2", "MIGHAgEAMBMG", "eyJzdWIi", "c2lnbmF0dXJl"]) expect(line).not.toContain(secret);
    expect(JSON.parse(line).reason.message).toBe("bad token [redacted]");
  });

  test("redact a private key that was cut off or whose line ends are escaped", () => {
    expect(redact("x -----BEGIN EC PRIVATE KEY-----\\nMHcCAQEE")).toBe("x [redacted]");
  });

  test("know a level by its common names", () => {
    expect(parseLogLevel("WARN")).toBe("warning");
    expect(parseLogLevel("debug")).toBe("debug");
    expect(parseLogLevel("loud")).toBeUndefined();
  });
});
