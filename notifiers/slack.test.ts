import { describe, expect, it } from "vitest";
import type { Notification } from "../src/catalogue/catalogue.ts";
import type { ActionError } from "../src/catalogue/errors.ts";
import type { Clients } from "../src/clients/clients.ts";
import type { HttpRequest } from "../src/clients/http/port.ts";
import { compileFields } from "../src/schema/read.ts";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { hostileNotification } from "../test/support/notifier-contract.ts";
import { slack } from "./slack.ts";

interface TextObject {
  readonly type: string;
  readonly text: string;
  readonly verbatim?: boolean;
  readonly emoji?: boolean;
}

interface Block {
  readonly type: string;
  readonly text?: TextObject;
  readonly fields?: readonly TextObject[];
  readonly elements?: readonly TextObject[];
}

interface Payload {
  readonly text: string;
  readonly username: string;
  readonly icon_url?: string;
  readonly icon_emoji?: string;
  readonly blocks: readonly Block[];
}

interface Traits {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly answer?: { readonly status: number; readonly body: string };
}

async function payloadOf(notification: Notification, { settings, answer }: Traits = {}): Promise<Payload> {
  const { values } = compileFields(slack.settings).read({ webhook_url: "https://example.org/T0/s3cr3t", ...settings });
  if (values === undefined) {
    throw new Error("the settings do not load");
  }
  const sent: HttpRequest[] = [];
  const http: Clients["http"] = {
    async send(request) {
      sent.push(request);
      return { status: 200, body: "ok", ...answer, header: () => undefined };
    },
  };
  await slack.notify({
    notification,
    settings: values,
    clients: { http } as Clients,
    signal: new AbortController().signal,
  });
  return JSON.parse(String(sent[0]?.body));
}

function textsIn({ blocks }: Payload): readonly TextObject[] {
  return blocks.flatMap(({ text, fields = [], elements = [] }) => [...(text ? [text] : []), ...fields, ...elements]);
}

describe("a message to Slack", () => {
  it("has a heading, what was done, what Falco says, the facts side by side, and how to undo it", async () => {
    const event = eventOf({ pod: "shop/cart-1", output: "A shell" });
    const notification = notificationOf({ event, outcome: { undo: "kubectl label pod cart-1 -n shop suspicious-" } });

    const { blocks, username } = await payloadOf(notification, { settings: { footer: "prod-1" } });

    const plain = (text: string) => ({ type: "plain_text", text, emoji: false });
    expect(username).toBe("Hallux");
    expect(blocks.slice(0, 3)).toEqual([
      { type: "header", text: plain("🟢 Done: kubernetes:label on pod shop/cart-1") },
      { type: "section", text: plain("pod labelled") },
      { type: "section", text: plain("Falco says:\nA shell") },
    ]);
    expect(blocks[3]?.fields?.slice(0, 2)).toEqual([
      { type: "mrkdwn", text: "*Falco rule*", verbatim: true },
      plain("Terminal shell in container (Notice)"),
    ]);
    expect(blocks.slice(-2)).toEqual([
      { type: "section", text: plain("To undo it:\nkubectl label pod cart-1 -n shop suspicious-") },
      { type: "context", elements: [plain("prod-1")] },
    ]);
  });

  it("says the same in its text, for services that know no blocks", async () => {
    const notification = notificationOf({ outcome: { status: "failure", code: "forbidden", message: "no right" } });

    const { text } = await payloadOf(notification);

    expect(text).toMatch(/^🔴 Failed: kubernetes:label on pod shop\/cart-1\n```\nno right\n\nFalco rule: /);
    expect(text).toContain("Outcome:    failure (forbidden)");
    expect(text).toMatch(/\n```$/);
  });

  it("is two lines where it is to be short", async () => {
    const { text, blocks } = await payloadOf(notificationOf(), { settings: { format: "short" } });

    expect(blocks).toHaveLength(1);
    expect(blocks[0]?.text?.text).toMatch(
      /^🟢 Done: .*\nrule "Label shells", action "label" .* success: pod labelled; because of: [^\n]*$/,
    );
    expect(text.replaceAll("```\n", "").replace("\n```", "")).toBe(blocks[0]?.text?.text);
  });

  it.each(["long", "short"])("is within Slack's limits however long the texts are (%s)", async (format) => {
    const outcome = { message: "&".repeat(9_000), text: "<\n".repeat(9_000), undo: "&".repeat(9_000) };
    const event = eventOf({ pod: "shop/cart-1", rule: "&".repeat(9_000), output: "é&".repeat(500_000) });

    const payload = await payloadOf(notificationOf({ event, outcome, rule: "&".repeat(9_000) }), {
      settings: { format },
    });

    expect(payload.text.length).toBeLessThanOrEqual(2_000);
    expect(payload.blocks.length).toBeLessThanOrEqual(50);
    for (const { type, text, fields = [], elements = [] } of payload.blocks) {
      expect(text?.text.length ?? 1).toBeLessThanOrEqual(type === "header" ? 150 : 3_000);
      expect(fields.length).toBeLessThanOrEqual(10);
      expect(elements.length).toBeLessThanOrEqual(10);
      expect([...fields, ...elements].filter(({ text }) => text === "" || text.length > 2_000)).toEqual([]);
    }
    expect(textsIn(payload).filter(({ text }) => /&(?!(amp|lt|gt);)/.test(text))).toEqual([]);
  });

  it.each(["long", "short"])("mentions and links nobody, whatever an attacker writes (%s)", async (format) => {
    const payload = await payloadOf(hostileNotification(), { settings: { format } });

    expect(JSON.stringify(payload)).not.toContain("<");
    expect(payload.text).not.toMatch(/@(channel|everyone)|:\/\/|\]\(|www\.|```[\s\S]*```[\s\S]*```/);
    expect(textsIn(payload).filter(({ type, verbatim }) => type !== "plain_text" && verbatim !== true)).toEqual([]);
  });

  it.each([
    [":eagle:", { icon_emoji: ":eagle:" }],
    ["https://example.org/a.png", { icon_url: "https://example.org/a.png" }],
  ])("has the picture %s", async (icon, expected) => {
    expect(await payloadOf(notificationOf(), { settings: { icon, username: "Eagle" } })).toMatchObject({
      username: "Eagle",
      ...expected,
    });
  });

  it("is what a template says, in Slack's markup, with values as text", async () => {
    const template = '*{{ outcome.status }}* <https://runbook.example|what to do>: {{ event.fields["proc.cmdline"] }}';
    const notification = notificationOf({ event: eventOf({ fields: { "proc.cmdline": "<!channel> & @here" } }) });

    const { text, blocks } = await payloadOf(notification, { settings: { template } });

    const expected = "*success* <https://runbook.example|what to do>: &lt;!channel&gt; &amp; @\u2060here";
    expect(text).toBe(expected);
    expect(blocks).toEqual([{ type: "section", text: { type: "mrkdwn", text: expected, verbatim: true } }]);
  });

  it("is no longer than the services take, whatever a template says", async () => {
    const notification = notificationOf({ event: eventOf({ output: "é&".repeat(9_000) }) });

    const { text, blocks } = await payloadOf(notification, { settings: { template: "{{ event.output }}" } });

    expect(text.length).toBeLessThanOrEqual(2_000);
    expect(blocks[0]?.text?.text.length).toBeLessThanOrEqual(3_000);
  });

  it("is the default one where the template fails, and says so", async () => {
    const template = "{% for i in (1..9999999) %}{{ i }}{% endfor %}";

    const { blocks } = await payloadOf(hostileNotification(), { settings: { template } });

    expect(blocks.at(-1)?.elements?.[0]?.text).toMatch(/^the template failed, this is the default text: /);
  });
});

describe("Slack's refusal", () => {
  it.each([
    [404, "no_service", "not_found", "no_service (the webhook is switched off or gone: make a new one)"],
    [400, "invalid_payload", "invalid", "invalid_payload"],
    [403, "action_prohibited", "forbidden", "action_prohibited (a workspace setting forbids it)"],
    [410, "channel_is_archived", "not_found", "channel_is_archived (choose another channel)"],
    [500, "rollup_error", "unavailable", "rollup_error"],
  ])("%i %s is %s, in words that help and without the URL", async (status, body, code, words) => {
    const error = await payloadOf(notificationOf(), { answer: { status, body } }).catch(
      (thrown: ActionError) => thrown,
    );

    expect(error).toMatchObject({ code, message: `https://example.org answered ${status}: ${words}` });
  });
});
