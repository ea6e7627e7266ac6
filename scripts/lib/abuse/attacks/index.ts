import type { Attack } from "../types.ts";
import { ADMIN } from "./admin.ts";
import { CREDENTIALS } from "./credentials.ts";
import { GRPC } from "./grpc.ts";
import { HTTP2_FLOODS } from "./http2-floods.ts";
import { INPUTS } from "./inputs.ts";
import { SLOW } from "./slow.ts";

/** In the order in which they are played. */
export const ATTACKS: readonly Attack[] = [...CREDENTIALS, ...GRPC, ...HTTP2_FLOODS, ...SLOW, ...ADMIN, ...INPUTS];
