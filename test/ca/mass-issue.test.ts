/** What happens in the CA when a thousand proxies come at once. */
import { expect, test } from "bun:test";
import { openAuthority } from "../../src/ca/open-authority.ts";
import { SvidManager } from "../../src/ca/svid-manager.ts";
import { TokenManager } from "../../src/ca/token-manager.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { inTemporaryDirectory } from "./temporary.ts";

const PROXIES = 1_000;
const id = (number: number) => `spiffe://mesh.local/ns/default/sa/workload-${number}`;

test("A thousand first SVIDs and tokens cost less than two seconds of processor time, come in the order of asking, and let others go between.", () =>
  inTemporaryDirectory(async (dir) => {
    const authority = await openAuthority({ dir, trustDomain: "mesh.local", clock: systemClock });
    const common = { authority, clock: systemClock, random: Math.random };
    const managers = { svids: new SvidManager(common), tokens: new TokenManager(common) };
    const before = process.cpuUsage();
    const order: string[] = [];
    let [left, turns] = [2 * PROXIES, 0];
    await new Promise<void>((resolve) => {
      const others = () => {
        turns += 1;
        if (left > 0) setImmediate(others);
        else resolve();
      };
      setImmediate(others);
      for (let number = 0; number < PROXIES; number++) {
        managers.svids.subscribe(id(number), ({ spiffeId }) => {
          order.push(spiffeId);
          left -= 1;
        });
        managers.tokens.subscribe(id(number), "billing", {
          onToken: () => {
            left -= 1;
          },
        });
      }
    });
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(2_000);
    expect(order).toEqual(Array.from({ length: PROXIES }, (_, number) => id(number)));
    // One turn would be all at once; how many there are depends on the machine.
    expect(turns).toBeGreaterThan(5);
    managers.svids.close();
    managers.tokens.close();
    authority.close();
  }));
