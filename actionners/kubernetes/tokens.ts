import { createHash } from "node:crypto";
import type { Facts } from "../../src/catalogue/catalogue.ts";
import { type FalcoEvent, fieldOf } from "../../src/events/event.ts";
import { textOf } from "../../src/events/json.ts";

/** A command line in which event fields are arguments, never text that a shell parses. */
export interface ShellCommand {
  readonly argv: readonly string[];
  readonly stdin?: string;
  /** The tokens whose values were too long to be passed whole. */
  readonly cut: readonly string[];
}

/** Below the 128 KiB that Linux allows one argument or environment variable. */
const maxValueBytes = 120 * 1024;
/** Kubernetes takes the arguments in a URL, where a byte may take three, and a URL may have 1 MiB. */
const maxTotalBytes = 256 * 1024;

/** Variables that decide what a shell, a loader or an interpreter runs, reads or trusts, or that a shell keeps for itself. */
const reserved = new RegExp(
  `^(${[
    "_|PATH|HOME|SHELL|ENV|IFS|PWD|OLDPWD|CDPATH|FPATH|TMPDIR|TERM(CAP|INFO)?|LANG(UAGE)?|TZ|USER|LOGNAME|EDITOR|PAGER",
    "PS\\d|PROMPT_COMMAND|POSIXLY_CORRECT|SHELLOPTS|SHLVL|GLOBIGNORE|HIST.*|BASH.*|OPT(ARG|ERR|IND)|E?UID|PPID|GROUPS",
    "DIRSTACK|FUNCNAME|LINENO|S?RANDOM|SECONDS|EPOCH.*|LC_.*|LD_.*|GCONV_PATH|NLSPATH|MALLOC_.*|GLIBC_.*",
    "PYTHON.*|PERL.*|RUBY.*|JAVA_.*|JDK_.*|NODE_(OPTIONS|PATH|EXTRA_CA_CERTS)|GIT_.*|SSH_.*|SSL_.*|OPENSSL_.*|CURL_.*",
    "(HTTPS?|FTP|ALL|NO)_PROXY|KUBECONFIG",
  ].join("|")})$`,
);

/** `fd.name` → `FD_NAME`, `proc.args[0]` → `PROC_ARGS_0` */
export function tokenName(name: string): string {
  const token = name
    .toUpperCase()
    .replaceAll("]", "")
    .replaceAll(/[^A-Z0-9_]/g, "_");
  return /^\d/.test(token) ? `_${token}` : token;
}

/**
 * Every token that an event and the facts give a value: an empty one where Falco does not know the field's (null, `<NA>`), so
 * that the container's own variable of the name is not taken for it. What Hallux knows itself wins over a field of the same name.
 */
export function tokensOf(event: FalcoEvent, facts: Facts): ReadonlyMap<string, string> {
  const fields = Object.keys(event.fields).map((name) => [name, textOf(fieldOf(event, name) ?? "")] as const);
  const own = [
    ["priority", event.priority],
    ["hostname", event.hostname],
    ["rule", event.rule],
    ["source", event.source],
    ["tags", event.tags.join(",")],
  ] as const;
  const entries = [...fields, ...own, ...Object.entries(facts)].flatMap(([name, value]) =>
    value === undefined ? [] : [[tokenName(name), value] as const],
  );
  return new Map(entries.filter(([token]) => !reserved.test(token)));
}

/**
 * The text with the tokens that it mentions (`${FD_NAME}`, `$FD_NAME`) replaced by their values, which are not looked through again.
 * `missing` are those that have none.
 */
export function withTokenValues(
  text: string,
  tokens: ReadonlyMap<string, string>,
): { readonly value: string; readonly missing: readonly string[] } {
  const missing: string[] = [];
  const value = text.replaceAll(
    /\$(?:\{([A-Z_][A-Z0-9_]*)\}|([A-Z_][A-Z0-9_]*)(?![A-Za-z0-9_]))/g,
    (token, braced, bare) => {
      const found = tokens.get(braced ?? bare) ?? "";
      if (found === "") {
        missing.push(token);
      }
      return found;
    },
  );
  return { value, missing };
}

/**
 * Runs the command in the shell with the tokens that it mentions as exported variables. A short prologue takes their values
 * from the positional parameters and removes these, so that no value is ever parsed. Any POSIX shell does.
 */
export function shellCommand(shell: string, command: string, tokens: ReadonlyMap<string, string>): ShellCommand {
  return withTokens(shell, command, mentionedIn(command, tokens));
}

/**
 * The same for a script, which the shell reads from standard input to its end before it runs anything: half a script never runs,
 * and what the script starts reads nothing of it. The end is a line of its own, because not every API server can say that the input
 * has ended. Needs no program but the shell.
 */
export function shellScript(shell: string, script: string, tokens: ReadonlyMap<string, string>): ShellCommand {
  const end = createHash("sha256").update(script).digest("hex");
  return {
    ...withTokens(shell, scriptReader(end), mentionedIn(script, tokens)),
    stdin: `${script}\n${end}\n`,
  };
}

/** Collects the lines in two steps, so that the time grows with the script's length and not with its square. */
function scriptReader(end: string): string {
  return `hallux_text= hallux_part= hallux_end=
while IFS= read -r hallux_line; do
  case $hallux_line in ${end}) hallux_end=yes; break;; esac
  hallux_part=$hallux_part$hallux_line'
'
  case \${#hallux_part} in ?????*) hallux_text=$hallux_text$hallux_part hallux_part=;; esac
done
case $hallux_end in '') echo 'the script did not arrive whole, nothing of it was run' >&2; exit 125;; esac
exec </dev/null
eval "unset hallux_text hallux_part hallux_line hallux_end; $hallux_text$hallux_part"`;
}

function mentionedIn(text: string, tokens: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
  const words = new Set(text.match(/[A-Z_][A-Z0-9_]*/g));
  return [...tokens].filter(([token]) => words.has(token));
}

function withTokens(
  shell: string,
  command: string,
  mentioned: readonly (readonly [string, string])[],
): Pick<ShellCommand, "argv" | "cut"> {
  const { values, cut } = fitting(mentioned);
  return { argv: [shell, "-c", `${prologue(mentioned.map(([token]) => token))}${command}`, "hallux", ...values], cut };
}

function prologue(names: readonly string[]): string {
  if (names.length === 0) {
    return "";
  }
  const assignments = names.map((name, index) => `${name}=\${${index + 1}}`).join(" ");
  return `${assignments}; export ${names.join(" ")}; shift ${names.length}\n`;
}

function fitting(tokens: readonly (readonly [string, string])[]): {
  readonly values: readonly string[];
  readonly cut: readonly string[];
} {
  const values: string[] = [];
  const cut: string[] = [];
  let left = maxTotalBytes;
  for (const [token, raw] of tokens) {
    const whole = raw.replaceAll("\0", "").toWellFormed();
    const value = startOf(whole, Math.min(left, maxValueBytes));
    left -= Buffer.byteLength(value);
    values.push(value);
    if (value.length < whole.length) {
      cut.push(token);
    }
  }
  return { values, cut };
}

/** The first bytes, cut between characters. */
function startOf(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text);
  return bytes.length <= maxBytes ? text : new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
