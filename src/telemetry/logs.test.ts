import { describe, expect, it } from "vitest";
import { parseJson } from "../events/json.ts";
import { Secret } from "../schema/secret.ts";
import { createLogger, type LogFormat } from "./logs.ts";

const esc = String.fromCharCode(0x1b);
const csi = String.fromCharCode(0x9b);
const override = String.fromCharCode(0x202e);

describe("createLogger", () => {
  it("writes one JSON object per line, with an ISO time and the level's name", async () => {
    const { logger, written } = await loggerWriting("json");

    logger.info({ rule: "shell" }, "rule matched");

    expect(written).toHaveLength(1);
    expect(JSON.parse(written.join(""))).toEqual({
      level: "info",
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      rule: "shell",
      msg: "rule matched",
    });
  });

  it("writes one plain line per entry as text", async () => {
    const { logger, written } = await loggerWriting("text");

    logger.info({ rule: "shell" }, "rule matched");

    expect(written.join("")).toMatch(/^\[\d{4}-[\d:.T-]+Z\] INFO: rule matched \{"rule":"shell"\}\n$/);
  });

  it("colours for a terminal only when asked to", async () => {
    const { logger, written } = await loggerWriting("color");

    logger.info({}, "rule matched");

    expect(written.join("")).toContain(`${esc}[32mINFO${esc}[39m`);
  });

  it("leaves out what is below its level", async () => {
    const { logger, written } = await loggerWriting("json");

    logger.debug({}, "not worth a line");

    expect(written).toEqual([]);
  });

  it.each<LogFormat>(["text", "color"])("shows terminal sequences of an event as text, in %s", async (format) => {
    const { logger, written } = await loggerWriting(format);
    const event = parseJson(
      JSON.stringify({ "proc.cmdline": `x${esc}[2J`, "fd.name": `${csi}2J${override}`, [`${csi}H`]: "\u007f" }),
    );

    logger.info({ event }, "event received");

    expect(controlsIn(withoutColours(written.join("").trimEnd()))).toEqual([]);
    expect(written.join("")).toContain(String.raw`\u001b[2J`);
    expect(written.join("")).toContain(String.raw`\u009b2J\u202e`);
  });

  it.each<LogFormat>(["text", "color"])("keeps an event's line breaks from forging a line, in %s", async (format) => {
    const { logger, written } = await loggerWriting(format);
    const forged = "x\n[2026-01-01T00:00:00.000Z] INFO: all is well";

    logger.info({ event: { output: forged } }, `event received ${forged}`);

    expect(written.join("").trimEnd().split("\n")).toHaveLength(1);
  });

  it.each<LogFormat>(["text", "color"])("indents the lines of an error, in %s", async (format) => {
    const { logger, written } = await loggerWriting(format);

    logger.error({ err: new Error(`no\n[2026] INFO: forged ${esc}[2J${csi}2J\rforged`) }, "action failed");

    const [first, ...following] = withoutColours(written.join("").trimEnd()).split("\n");
    expect(first).toMatch(/ERROR: action failed/);
    expect(following.filter((line) => !line.startsWith("    "))).toEqual([]);
    expect(controlsIn(following.join(""))).toEqual([]);
  });

  it.each<LogFormat>(["text", "json"])("keeps every digit of an event's numbers, in %s", async (format) => {
    const { logger, written } = await loggerWriting(format);

    logger.info({ event: parseJson('{"evt.time":1763689041886038257}') }, "event received");

    expect(written.join("")).toContain('"evt.time":1763689041886038257');
  });

  it.each<LogFormat>(["text", "json"])("masks secrets by type and by name, in %s", async (format) => {
    const { logger, written } = await loggerWriting(format);

    logger.info(
      {
        bearer: new Secret("s3cret-a"),
        password: "s3cret-b",
        aws: { secret_key: new Secret("s3cret-c") },
        request: { headers: { authorization: "s3cret-d" } },
      },
      "configuration read",
    );

    expect(written.join("")).not.toContain("s3cret");
    expect(written.join("").match(/\[secret\]/g)).toHaveLength(4);
  });
});

async function loggerWriting(format: LogFormat) {
  const written: string[] = [];
  const destination = { write: (line: string) => void written.push(line) };
  return { logger: await createLogger({ format, level: "info", destination }), written };
}

function withoutColours(text: string): string {
  return text.replaceAll(new RegExp(`${esc}\\[\\d+m`, "g"), "");
}

/** Control characters, and marks that reorder text; line breaks are counted elsewhere. */
function controlsIn(text: string): string[] {
  return [...text].filter((character) => /[\p{Cc}\p{Bidi_Control}]/u.test(character) && character !== "\n");
}
