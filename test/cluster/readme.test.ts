/** README's section on many nodes, called line by line: what stands after "a$ " and "b$ " on two machines, here in two shells. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { openNetwork } from "../../scripts/lib/lab/network.ts";
import { cleanEnvironment } from "../../scripts/lib/lab/processes.ts";
import { installEtcd, startEtcd } from "../store/etcd-cluster.ts";
import { type Shell, startShell } from "../tour/shell.ts";
import { presentWeft } from "./builds.ts";

const README = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
const ANSWER_LIMIT_MS = 30_000;
const LIMIT_MS = 120_000;

interface Command {
  readonly machine: string;
  readonly text: string;
  readonly shown: readonly string[];
}

const etcd = installEtcd();

test.skipIf(etcd === undefined)(
  "README's commands make one mesh of two machines",
  async () => {
    const directory = mkdtempSync(join(tmpdir(), "weft-readme-"));
    const cluster = await startEtcd({ binary: etcd ?? "" });
    const network = await openNetwork();
    const address = network.nextAddress();
    const rpc = `${address}:${await network.freePort(address)}`;
    const bin = join(directory, "bin");
    mkdirSync(bin);
    symlinkSync(presentWeft(directory), join(bin, "weft"));
    const [, mesh = ""] = /cat > mesh\.yaml <<'YAML'\n([\s\S]*?)\n {4}YAML\n/.exec(README) ?? [];
    const shellOf = (machine: string): Shell => {
      const cwd = join(directory, machine);
      mkdirSync(cwd);
      writeFileSync(join(cwd, "mesh.yaml"), mesh.replace(/^ {4}/gm, ""));
      const own = { PATH: [bin, process.env.PATH].join(delimiter), WEFT_ADS: "127.0.0.1:0", WEFT_ADMIN: "127.0.0.1:0" };
      // Of machines of their own, the host names.
      return startShell({
        cwd,
        env: { ...cleanEnvironment(), ...own, WEFT_CONFIG: "/dev/null", WEFT_DATA: join(cwd, "d"), WEFT_NODE: machine },
      });
    };
    try {
      await using a = shellOf("a");
      await using b = shellOf("b");
      let token = "";
      for (const { machine, text, shown } of commandsOf(README)) {
        const here = (line: string) =>
          line
            .replace(/etcd:\/\/[\d.:,]+/, cluster.url("/readme"))
            .replaceAll("10.0.0.5:15016", rpc)
            .replace("weft_join_...", token);
        const printed = await ask(machine === "a" ? a : b, here(text), (said) =>
          shown.every((line) => normalise(said).includes(normalise(line.replaceAll("10.0.0.5:15016", rpc)))),
        );
        token = /weft_join_[\w.-]{90,}/.exec(printed)?.[0] ?? token;
      }
      expect(token).not.toBe("");
    } finally {
      await cluster.stop();
      rmSync(directory, { recursive: true, force: true });
    }
  },
  LIMIT_MS,
);

function commandsOf(page: string): readonly Command[] {
  const section = page.split("\n## Many nodes\n")[1]?.split("\n## ")[0] ?? "";
  const commands: { machine: string; text: string; shown: string[] }[] = [];
  for (const line of section.split("\n").filter((one) => one.startsWith("    "))) {
    const [, machine, text] = /^ {4}([ab])\$ (.+)$/.exec(line) ?? [];
    if (machine !== undefined && text !== undefined) commands.push({ machine, text, shown: [] });
    // The token is another one each time.
    else commands.at(-1)?.shown.push(line.trim().replace("weft_join_...", ""));
  }
  expect(commands.length).toBeGreaterThanOrEqual(6);
  return commands;
}

/** Asks again until it ends well and says what is expected: what was started in the background needs a moment. */
async function ask(shell: Shell, command: string, expected: (printed: string) => boolean): Promise<string> {
  const until = performance.now() + ANSWER_LIMIT_MS;
  for (;;) {
    const printed = await shell.run(`${command}\necho "exit $?"`);
    if (/^exit 0$/m.test(printed) && expected(printed)) return printed;
    if (performance.now() > until) throw new Error(`${command}\n${printed}`);
    await Bun.sleep(200);
  }
}

const normalise = (text: string) =>
  text
    .replace(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replace(/\b\d+\.\d+\.\d+(?= |$)/gm, "VERSION")
    .replace(/[^\S\n]+/g, " ");
