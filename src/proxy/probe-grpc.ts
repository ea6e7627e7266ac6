/**
 * grpc.health.v1.Health/Check (https://github.com/grpc/grpc/blob/master/doc/health-checking.md), spoken by hand: the two messages have one
 * field each, and this folder knows no generated code.
 */
import { connect, constants } from "node:http2";

/** HealthCheckResponse.ServingStatus. */
const STATUS = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** More than a health check's answer can have. */
const LONGEST_ANSWER = 4096;

/** Resolves with why the service is not ready, or undefined where it is. @throws where there is no connection */
export function checkGrpc(host: string, port: number, service: string, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
    const end = (reason?: string) => {
      session.destroy();
      resolve(reason);
    };
    session.once("error", (reason) => {
      session.destroy();
      reject(reason);
    });
    signal.addEventListener("abort", () => end("stopped"), { once: true });
    const call = session.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      "user-agent": "weft-probe/1.0",
      te: "trailers",
    });
    let answer = Buffer.alloc(0);
    let status: string | undefined;
    const told = (headers: Readonly<Record<string, unknown>>) => {
      if (headers["grpc-status"] !== undefined) status = String(headers["grpc-status"]);
    };
    call.on("response", (headers) => {
      const code = headers[constants.HTTP2_HEADER_STATUS];
      if (String(code) === "200") told(headers);
      else end(`port ${port} speaks no gRPC: it answered ${code}`);
    });
    call.on("trailers", told);
    call.on("data", (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length > LONGEST_ANSWER) end("its answer is no health check's");
    });
    call.once("error", (reason) => end(reason.message));
    call.once("end", () => {
      if (status === "12") end(`port ${port} does not serve grpc.health.v1.Health`);
      else if (status !== "0") end(`the health check failed with gRPC status ${status ?? "(none)"}`);
      else {
        const serving = servingStatus(answer);
        end(serving === 1 ? undefined : `it says ${STATUS[serving] ?? serving}`);
      }
    });
    call.end(frame(Buffer.from(service)));
  });
}

/** A gRPC message (uncompressed, with its length) that holds HealthCheckRequest{service = 1}. */
function frame(service: Buffer): Buffer {
  const message = service.length === 0 ? service : Buffer.concat([Buffer.from([0x0a, ...varint(service.length)]), service]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

/** HealthCheckResponse{status = 1}; the default, UNKNOWN, is not on the wire. */
function servingStatus(answer: Buffer): number {
  return answer[5] === 0x08 ? (answer[6] ?? 0) : 0;
}
