/** The admin API: HTTP over a ControlPlane. */
export { type AdminServer, type AdminServerOptions, createAdminServer, type TcpAddress, type UnixAddress } from "./server.ts";
export type { SvidPrincipal } from "./svid-principals.ts";
