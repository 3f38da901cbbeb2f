import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";
import { parseJson } from "../events/json.ts";

export const logFormats = ["text", "color", "json"] as const;
export type LogFormat = (typeof logFormats)[number];

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/**
 * A second line behind `Secret`, for what reaches a log under a name like these. Fixed paths cost nothing; wildcards would cost
 * 25 µs a line. The content of an event is logged as it came.
 */
const redactedPaths = [
  ...["authorization", "password", "token", "bearer_token", "path_secret", "secret_key", "api_key", "webhook_url"],
  ...["headers", "req.headers", "request.headers"].flatMap((headers) => [
    `${headers}.authorization`,
    `${headers}.cookie`,
  ]),
];

/**
 * `json` is one object per line for machines; `text` and `color` are one line per entry for people, where nothing that came
 * with an event can move the cursor, clear the screen or forge a line.
 */
export async function createLogger(options: {
  readonly format: LogFormat;
  readonly level: LogLevel;
  readonly destination: DestinationStream;
}): Promise<Logger> {
  const { format, level, destination } = options;
  const stream = format === "json" ? destination : await forPeople(destination, format === "color");
  return pino({ ...loggerOptions, level }, stream);
}

const loggerOptions: LoggerOptions = {
  base: undefined,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
  redact: { paths: redactedPaths, censor: "[secret]" },
};

/** Loads pino-pretty only here: a process that logs JSON starts without it. */
async function forPeople(destination: DestinationStream, colorize: boolean): Promise<DestinationStream> {
  const { prettyFactory } = await import("pino-pretty");
  const pretty = prettyFactory({
    colorize,
    singleLine: true,
    translateTime: false,
    ignore: "", // a filter copies the entry, and a copy loses the digits of large numbers
    messageFormat: (log, messageKey) => escapeControls(String(log[messageKey] ?? "")),
  });

  return {
    write(line) {
      destination.write(pretty(parseJson(escapeUnseen(line))));
    },
  };
}

/** What JSON leaves bare though a terminal obeys it: DEL, the C1 controls (0x9b is CSI) and the marks that reorder text. */
const unseen = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal
const controls = /[\u0000-\u001f]/g;

/** Of a line of JSON; the reader sees `\u009b`. */
function escapeUnseen(line: string): string {
  return line.replace(unseen, (character) => `\\${codePoint(character)}`);
}

function escapeControls(text: string): string {
  return text.replace(controls, codePoint);
}

/** JSON, or YAML whose unseen characters stand in double quotes: it means the same, and shows them. */
export function withUnseenShown(document: string): string {
  return document.replace(unseen, codePoint);
}

/** What came with an event, for a terminal: one line, in which nothing moves the cursor, clears the screen or reorders text. */
export function printable(text: string): string {
  return withUnseenShown(escapeControls(text));
}

function codePoint(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
