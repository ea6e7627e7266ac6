/** Header values are Envoy's format strings: one that it does not understand makes it refuse a whole route table. */
import { describe, expect, test } from "bun:test";
import { headerValueError } from "../../src/model/check-header.ts";

const TAKEN = [
  "",
  "plain",
  "100%%",
  "%%PROTOCOL%%",
  "%PROTOCOL%",
  "a %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% b",
  "%REQ(x-id)%",
  "%REQ(x-id?:path):12%",
  "%RESP(:status)%",
  "%START_TIME%",
  "%START_TIME(%Y-%m-%d %H:%M)%",
  '%DYNAMIC_METADATA(["a","b"])%',
  "%DYNAMIC_METADATA(a:b):10%",
  "%FILTER_STATE(a.b:PLAIN)%",
  "%PATH(NQ)%",
];

const REFUSED = [
  "%BAD%",
  "%req(x)%",
  "100%",
  "%",
  "%PROTOCOL",
  "%PROTOCOL%%",
  "%PROTOCOL(x)%",
  "%PROTOCOL:5%",
  "%REQ%",
  "%REQ()%",
  "%REQ(a b)%",
  "%REQ(a?b?c)%",
  "%REQ(x):y%",
  "%START_TIME:5%",
  "%PATH(x)%",
  "%FILTER_STATE(a:FOO)%",
  "%FILE_CONTENT(/etc/passwd)%",
  "%CEL(request.path)%",
  "%constructor%",
  "a\nb",
  "x".repeat(16385),
];

describe("A header value", () => {
  for (const value of TAKEN) test(`may be ${JSON.stringify(value)}`, () => expect(headerValueError(value)).toBeUndefined());
  for (const value of REFUSED) test(`may not be ${JSON.stringify(value.slice(0, 40))}`, () => expect(headerValueError(value)).toBeString());

  test("says which command is wrong, and why", () => {
    expect(headerValueError("a %BAD% b")).toBe("%BAD%: Envoy has no command BAD");
    expect(headerValueError("%REQ%")).toBe("%REQ%: REQ needs an argument: %REQ(...)%");
  });
});
