/** All doors of a running weft. One more is one more line. */
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Door } from "./types.ts";

/** DATA/listening.json. */
export interface Listening {
  readonly ads: string;
  readonly ads_socket: string;
  readonly admin: string;
  readonly admin_socket: string;
  readonly ads_tls?: string;
  readonly admin_tls?: string;
  readonly workload_api?: string;
}

/** What makes weft open the doors that are shut unless asked for. */
export const ALL_DOORS = ["--ads-tls", "127.0.0.1:0", "--admin-tls", "127.0.0.1:0"];

const CONNECT_LIMIT_MS = 20_000;

export function doorsOf({ ads, ads_socket, ads_tls, admin, admin_socket, admin_tls, workload_api }: Listening): readonly Door[] {
  return [
    { name: "ADS TCP", speaks: "ads", asks: true, open: () => tcp(ads) },
    { name: "ads.sock", speaks: "ads", asks: true, open: () => connected(connect(ads_socket)) },
    { name: "admin TCP", speaks: "admin", asks: true, open: () => tcp(admin) },
    { name: "admin.sock", speaks: "admin", asks: false, open: () => connected(connect(admin_socket)) },
    ...(ads_tls ? [{ name: "ADS TLS", speaks: "ads", asks: true, open: () => tls(ads_tls, "h2") } as const] : []),
    ...(admin_tls ? [{ name: "admin TLS", speaks: "admin", asks: true, open: () => tls(admin_tls, "http/1.1") } as const] : []),
    ...(workload_api
      ? [{ name: "Workload API", speaks: "workload", asks: true, open: () => connected(connect(workload_api)) } as const]
      : []),
  ];
}

function placeOf(target: string): { readonly host: string; readonly port: number } {
  const at = target.lastIndexOf(":");
  return { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
}

const tcp = (target: string) => connected(connect(placeOf(target)));

/** Whom it speaks to is not the attacker's care. */
const tls = (target: string, protocol: string) =>
  connected(connectTls({ ...placeOf(target), ALPNProtocols: [protocol], rejectUnauthorized: false }), "secureConnect");

function connected(socket: Socket, event = "connect"): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => end(new Error("no connection in time")), CONNECT_LIMIT_MS);
    const end = (reason?: Error) => {
      clearTimeout(timer);
      if (!reason) return resolve(socket);
      socket.destroy();
      reject(reason);
    };
    socket.once(event, () => end());
    socket.once("close", () => end(new Error("closed at once")));
    socket.once("error", end);
  });
}
