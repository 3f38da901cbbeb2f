import { Command, InvalidArgumentError, Option } from "commander";
import { largestPage, responseStatuses } from "../api/query.ts";
import type { ResponseReport, ResponseSummary } from "../api/shapes.ts";
import { jsonText, yamlText } from "./encode.ts";
import { CommandFailure, type Complaining, telling } from "./failure.ts";
import { createHistoryClient, type HistoryClient } from "./history-client.ts";
import { type HistoryServerDeps, type HistoryServerOptions, historyServer } from "./history-server.ts";
import { listPrinter, reportText } from "./response-text.ts";

export interface ResponsesDeps extends HistoryServerDeps, Complaining {
  /** To standard output; a promise resolves when there is room for more. */
  readonly write: (text: string) => void | Promise<void>;
  /** RFC 3339. */
  readonly now: () => string;
}

type Format = "table" | "json" | "yaml";

interface ShowOptions extends HistoryServerOptions {
  readonly output: Format;
}

interface ListOptions extends ShowOptions {
  readonly since?: string;
  readonly rule?: string;
  readonly target?: string;
  readonly status?: string;
  readonly limit: number;
  readonly all?: true;
}

const collection = "/api/v1/responses";

/** `hallux responses list|show`. */
export function responsesCommand(deps: ResponsesDeps): Command {
  return new Command("responses")
    .description("show what a running Hallux did, and why")
    .addCommand(
      command("list", "list responses, the newest first")
        .option("--since <when>", "planned since: 15m, 24h, 7d or an RFC 3339 time")
        .option("--rule <name>", "of this rule")
        .option("--target <target>", 'on this target: "pod shop/cart-1"')
        .addOption(
          new Option("--status <status>", "an action of which ended so; open: not all have").choices(responseStatuses),
        )
        .option("--limit <number>", "at most so many", countOf, 50)
        .addOption(new Option("--all", "all there are").conflicts("limit"))
        .action((options: ListOptions) => telling(deps, () => list(options, deps))),
    )
    .addCommand(
      command("show", "show one response: what happened, what was done, who was told, how to undo it")
        .argument("<id>", "as `hallux responses list` shows it")
        .action((id: string, options: ShowOptions) => telling(deps, () => show(id, options, deps))),
    );
}

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(new Option("-o, --output <format>", "how to print").choices(["table", "json", "yaml"]).default("table"))
    .option("-c, --config <file>", "configuration of the server: its port, its TLS, its token")
    .option("--server <url>", "another server than that of the configuration on this machine")
    .option("--token-file <file>", "file with the server's api.token (or the variable HALLUX_API_TOKEN)")
    .option("--ca-file <file>", "certificates to trust instead of the system's, PEM");
}

async function list(options: ListOptions, deps: ResponsesDeps): Promise<void> {
  const ask = createHistoryClient(historyServer(options, deps));
  const printer = listPrinter(options.output, deps.now());
  const { since, rule, target, status, all } = options;
  let left = all ? Number.POSITIVE_INFINITY : options.limit;
  let after: string | undefined;
  do {
    const limit = String(Math.min(left, largestPage));
    const page = await pageOf(ask, { since, rule, target, status, limit, after });
    await deps.write(printer.page(page.responses));
    left -= page.responses.length;
    after = page.next;
  } while (after !== undefined && left > 0);

  await deps.write(printer.end());
  if (after !== undefined) {
    deps.writeError("there are more: --all, or a greater --limit\n");
  }
}

/** The shapes are the server's promise (docs/api.md); that it is one is known by the first key. */
async function pageOf(
  ask: HistoryClient,
  parameters: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly responses: readonly ResponseSummary[]; readonly next?: string }> {
  const page = await ask(collection, parameters);
  if (!Array.isArray(page["responses"])) {
    throw new CommandFailure("the server's answer is no list of responses: is it of another version?");
  }
  return page as unknown as Awaited<ReturnType<typeof pageOf>>;
}

async function show(id: string, options: ShowOptions, deps: ResponsesDeps): Promise<void> {
  const ask = createHistoryClient(historyServer(options, deps));
  const report = await ask(`${collection}/${encodeURIComponent(id)}`);
  await deps.write(textOf(report as unknown as ResponseReport, options.output, deps.now()));
}

function textOf(report: ResponseReport, output: Format, now: string): string {
  switch (output) {
    case "table":
      return reportText(report, now);
    case "json":
      return `${jsonText(report)}\n`;
    case "yaml":
      return yamlText(report);
  }
}

function countOf(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count === 0) {
    throw new InvalidArgumentError("It must be a number, at least 1.");
  }
  return count;
}
