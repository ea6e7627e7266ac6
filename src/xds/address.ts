import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AddressSchema } from "../gen/envoy/config/core/v3/address_pb.ts";

/** A TCP address, or a Unix socket's where `address` is a path, or "@name". */
export function toAddress(address: string, port: number): MessageInitShape<typeof AddressSchema> {
  if (/^[/@]/.test(address)) return { address: { case: "pipe", value: { path: address } } };
  return { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } };
}
