/** networking's SidecarPort. */
import { integer, needed, notYet, object, text } from "./schema.ts";
import { checkProtocol } from "./service-entry.ts";
import { checkPortName } from "./workload-entry.ts";

/** `unix`: whether 0 stands for a Unix socket, and whether it may be an HTTP proxy: an egress listener. */
export const listenerPort = ({ unix }: { readonly unix: boolean }) =>
  object({
    number: needed(integer(unix ? 0 : 1, 65535)),
    protocol: needed(
      text((protocol, report) => {
        if (protocol === "") report("missing", "needs a protocol");
        else if (!unix || protocol.toUpperCase() !== "HTTP_PROXY") checkProtocol(protocol, report);
      }),
    ),
    name: text((name, report) => {
      if (name !== "") checkPortName(name, report);
    }),
    targetPort: notYet("Istio refuses it too: it means nothing at a Sidecar, write defaultEndpoint"),
  });
