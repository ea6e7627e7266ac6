/** The command line: argv in, output and an exit code out. */
import {
  type ApplicationText,
  ArgumentScannerError,
  buildApplication,
  buildRouteMap,
  FlagNotFoundError,
  formatMessageForArgumentScannerError,
  proposeCompletions,
  run,
  ExitCode as StricliExit,
  type StricliProcess,
  text_en,
} from "@stricli/core";
import { WeftError } from "../lib/errors.ts";
import { accessRoutes } from "./access.ts";
import { applyCommand } from "./apply.ts";
import { auditCommand } from "./audit.ts";
import { caRoutes } from "./ca.ts";
import { checkCommand } from "./check.ts";
import { COMPLETE_VERB, completionCommand } from "./completion.ts";
import { deleteCommand } from "./delete.ts";
import { diffCommand } from "./diff.ts";
import { explainCommand } from "./explain.ts";
import { getCommand } from "./get.ts";
import type { CliIo } from "./io.ts";
import { mtlsCommand } from "./mtls.ts";
import { clean } from "./output.ts";
import { proxiesCommand } from "./proxies.ts";
import { proxyRoutes } from "./proxy.ts";
import { runCommand } from "./run.ts";
import { servicesCommand } from "./services.ts";
import { testCommand } from "./test.ts";
import { tokenCommand } from "./token.ts";
import { validateCommand } from "./validate.ts";
import type { Cli } from "./verb.ts";
import { versionCommand } from "./version.ts";
import { whyCommand } from "./why.ts";

const root = buildRouteMap({
  routes: {
    run: runCommand,
    apply: applyCommand,
    get: getCommand,
    delete: deleteCommand,
    validate: validateCommand,
    diff: diffCommand,
    why: whyCommand,
    test: testCommand,
    services: servicesCommand,
    mtls: mtlsCommand,
    proxies: proxiesCommand,
    proxy: proxyRoutes,
    ca: caRoutes,
    token: tokenCommand,
    check: checkCommand,
    access: accessRoutes,
    audit: auditCommand,
    explain: explainCommand,
    version: versionCommand,
    completion: completionCommand,
  },
  docs: {
    brief: "A service mesh for bare metal, VMs and the edge",
    fullDescription:
      "Start with: weft run, then weft apply -f FILE, then weft proxy run WORKLOAD.\n" +
      "Exit codes: 0 yes or done, 1 a negative answer (invalid, different, refused), 2 usage or could not do it.",
  },
});

const text: ApplicationText = {
  ...text_en,
  noCommandRegisteredForInput: ({ input, corrections }) => {
    const guess = corrections.length > 0 ? `: did you mean ${corrections.join(" or ")}?` : "";
    return `weft: there is no verb "${clean(input)}"${guess}\n    help: weft --help lists all`;
  },
  exceptionWhileParsingArguments: (reason) => {
    const message = messageOf(reason);
    return `weft: ${clean(message)}\n    help: --help shows the flags and arguments of a verb`;
  },
};

/** By class, not by stricli's table of class names: the compiled binary is minified, and its classes have other names. */
function messageOf(reason: unknown): string {
  if (reason instanceof FlagNotFoundError) return unknownFlag(reason);
  if (reason instanceof ArgumentScannerError) return formatMessageForArgumentScannerError(reason, {});
  return WeftError.from(reason).message;
}

const kebab = (flag: string) => flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

function unknownFlag({ input, corrections }: FlagNotFoundError): string {
  const guess = corrections.length > 0 ? `: did you mean ${corrections.map((one) => `--${kebab(one)}`).join(" or ")}?` : "";
  return `there is no flag --${input}${guess}`;
}

const application = buildApplication(root, {
  name: "weft",
  scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
  documentation: { caseStyle: "convert-camel-to-kebab", disableAnsiColor: true, useAliasInUsageLine: true, onlyRequiredInUsageLine: true },
  localization: { text },
});

const line = (text: string) => (text.endsWith("\n") ? text : `${text}\n`);

/** The forms that hands know from other programs: `weft --version`, `weft help apply`. */
function asVerb(argv: readonly string[]): readonly string[] {
  const [first, ...rest] = argv;
  if (first === "--version") return ["version", ...rest];
  return first === "help" ? [...rest, "--help"] : argv;
}

/** Runs one command line (without the program's name). Never throws; 0, 1 or 2. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let code: number | undefined;
  const process: StricliProcess = {
    stdout: { write: (text) => void io.stdout.write(text) },
    stderr: { write: (text) => void io.stderr.write(text) },
    env: {},
    exitCode: undefined,
  };
  const context: Cli & { readonly process: StricliProcess } = {
    process,
    io,
    print: (text) => void io.stdout.write(line(text)),
    complain: (text) => void io.stderr.write(line(text)),
    exit(chosen) {
      code = chosen;
    },
  };
  if (argv[0] === COMPLETE_VERB) {
    for (const { completion, brief } of await proposeCompletions(application, argv.slice(1), context))
      context.print(`${completion}\t${brief}`);
    return 0;
  }
  await run(application, asVerb(argv), context);
  // Whatever the parser refuses is usage.
  return code ?? (process.exitCode === StricliExit.Success ? 0 : 2);
}
