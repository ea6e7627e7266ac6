import { buildCommand } from "@stricli/core";
import { BRIEF } from "./briefs.ts";
import { COMPLETE_VERB } from "./complete-verb.ts";
import { UsageError, verb } from "./verb.ts";

const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# weft completion for bash. Load it with: source <(weft completion bash)
_weft() {
  local line words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=()
  while IFS=$'\\t' read -r line _; do COMPREPLY+=("$line"); done < <("\${COMP_WORDS[0]}" ${COMPLETE_VERB} "\${words[@]}" 2>/dev/null)
}
complete -o default -F _weft weft
`,
  zsh: `#compdef weft
# weft completion for zsh. Load it with: source <(weft completion zsh)
_weft() {
  local -a proposals
  local word description
  while IFS=$'\\t' read -r word description; do
    proposals+=("\${word//:/\\\\:}:$description")
  done < <("\${words[1]}" ${COMPLETE_VERB} "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#proposals} )); then _describe weft proposals; else _files; fi
}
compdef _weft weft
`,
  fish: `# weft completion for fish. Load it with: weft completion fish | source
function __weft_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] ${COMPLETE_VERB} $words[2..] 2>/dev/null
end
complete -c weft -a '(__weft_complete)'
`,
};

export const completionCommand = buildCommand({
  docs: { brief: BRIEF.completion },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        {
          parse: (input: string) => input,
          placeholder: "SHELL",
          brief: "bash, zsh or fish",
          proposeCompletions: () => Object.keys(SCRIPTS),
        },
      ],
    },
  },
  func: verb<Record<never, never>, [string]>((cli, _flags, shell) => {
    const script = SCRIPTS[shell];
    if (script === undefined) throw new UsageError(`There is no completion for "${shell}"`, "shells: bash, zsh, fish");
    cli.print(script.trimEnd());
    return 0;
  }),
});
