import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { ActionError } from "../src/catalogue/errors.ts";
import type { OutcomeStatus } from "../src/catalogue/outcome.ts";
import { type HttpAnswer, type HttpRequest, refusalOf, secretsIn } from "../src/clients/http/port.ts";
import { choice, longText, text } from "../src/schema/field.ts";
import { httpSettings, isSuccess, secretUrl } from "./endpoint.ts";
import { clip, type Fact, type Message, messageOf, textOf } from "./message.ts";
import { escapeMrkdwn, escapeSlack, render, templateFaults } from "./template.ts";

export const slack = defineNotifier({
  id: "slack",
  summary: "Tell a channel of Slack, Mattermost, Rocket.Chat or Discord by an incoming webhook",
  description: [
    "Slack shows the message's blocks; the others show its `text`, which says the same. Of Discord it takes the URL that ends in `/slack`.",
    "Slack takes `icon` and `username` only of old webhooks; those of an app have the app's.",
    "A `template` gives the whole message in Slack's markup (mrkdwn); values in it mention and link nobody.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings: {
    webhook_url: secretUrl("The incoming webhook"),
    icon: text("Picture of the sender: a URL, or an emoji such as `:eagle:`"),
    username: text("Name of the sender", { default: "Hallux" }),
    footer: text("Last line of a long message"),
    format: choice("How much a message tells", ["long", "short"], { default: "long" }),
    template: longText("Liquid template of the message, instead of `format` and `footer`"),
    ca: httpSettings.ca,
  },

  check: ({ template }) => templateFaults({ template: { template, medium: "mrkdwn" } }),

  async notify({ notification, settings, clients, signal }) {
    const url = new URL(settings.webhook_url.reveal());
    const request = {
      url,
      method: "POST",
      headers: { "content-type": "application/json", "user-agent": "hallux" },
      body: JSON.stringify({ ...senderOf(settings), ...contentOf(notification, settings) }),
      ca: settings.ca,
      secrets: secretsIn(url),
    };

    const answer = await clients.http.send(request, signal);

    if (!isSuccess(answer)) {
      throw explained(request, answer);
    }
  },
});

/** Of Slack: characters after escaping. */
const maxHeader = 150;
const maxSection = 3000;
const maxField = 2000;
const maxFields = 10;
/** Discord takes no longer one. */
const maxText = 2000;

const marks: Readonly<Record<OutcomeStatus, string>> = {
  success: "🟢",
  ignored: "⚪",
  failure: "🔴",
  refused: "🟠",
  dry_run: "🔵",
  expired: "🟠",
};

interface Settings {
  readonly icon: string | undefined;
  readonly username: string;
  readonly footer: string | undefined;
  readonly format: "long" | "short";
  readonly template: string | undefined;
}

interface Content {
  /** All there is for services that know no blocks, and for Slack's own notifications. */
  readonly text: string;
  readonly blocks: readonly object[];
}

function senderOf({ icon, username }: Settings): object {
  const picture = icon?.startsWith(":") ? { icon_emoji: icon } : { icon_url: icon };
  return { username, ...(icon !== undefined && picture) };
}

function contentOf(notification: Notification, { template, format, footer }: Settings): Content {
  const { text: written, note } = render(template, "mrkdwn", notification);
  if (written !== undefined) {
    return { text: clip(written, maxText), blocks: [{ type: "section", text: markup(clip(written, maxSection)) }] };
  }
  const message = messageOf(notification, note);
  return format === "short" ? shortContent(message) : longContent(message, footer);
}

function shortContent(message: Message): Content {
  const { line, note } = message;
  const lines = note === undefined ? line : `${line}\n${note}`;
  return { text: fallbackOf(message, lines), blocks: [section(`${marked(message)}\n${lines}`)] };
}

function longContent(message: Message, footer: string | undefined): Content {
  const { facts, summary, undo, note } = message;
  const small = [note, footer].filter((part) => part !== undefined && part !== "") as readonly string[];
  return {
    text: fallbackOf(message, detailsOf(message)),
    blocks: [
      { type: "header", text: words(marked(message), maxHeader) },
      ...(summary === "" ? [] : [section(summary)]),
      ...facts.filter(({ long }) => long).map(({ name, value }) => section(`${name}:\n${value}`)),
      ...tables(facts.filter(({ long }) => !long)),
      ...(undo === undefined ? [] : [section(`To undo it:\n${undo}`)]),
      ...(small.length === 0 ? [] : [{ type: "context", elements: small.map((part) => words(part, maxField)) }]),
    ],
  };
}

/** Names on the left, values on the right. */
function tables(facts: readonly Fact[]): readonly object[] {
  const rows = maxFields / 2;
  return Array.from({ length: Math.ceil(facts.length / rows) }, (_, index) => ({
    type: "section",
    fields: facts
      .slice(index * rows, (index + 1) * rows)
      .flatMap(({ name, value }) => [markup(`*${name}*`), words(value, maxField)]),
  }));
}

function section(content: string): object {
  return { type: "section", text: words(content, maxSection) };
}

function marked({ status, headline }: Message): string {
  return `${marks[status]} ${headline}`;
}

/** The lines in a fence, in which neither markup nor mentions mean anything. */
function fallbackOf(message: Message, details: string): string {
  const heading = fitted(marked(message), maxHeader, escapeMrkdwn);
  const fence = "```";
  const room = maxText - `${heading}\n${fence}\n\n${fence}`.length;
  return [heading, fence, fitted(details.replaceAll("`", "'"), room, escapeMrkdwn), fence].join("\n");
}

/** What stands below the headline. */
function detailsOf(message: Message): string {
  return textOf(message).slice(message.headline.length).trim();
}

/** Text in which nothing is markup. */
function words(content: string, max: number): object {
  return { type: "plain_text", text: fitted(content, max, escapeSlack), emoji: false };
}

/** Our own markup, of which Slack makes nothing that is not written there. */
function markup(content: string): object {
  return { type: "mrkdwn", text: content, verbatim: true };
}

/** As much of it as is short enough once it is escaped; the limit is in characters, and no entity is cut. */
function fitted(content: string, max: number, escaping: (text: string) => string): string {
  const escaped = escaping(content);
  const over = escaped.length - max;
  return over <= 0 ? escaped : fitted(clip(content, Buffer.byteLength(content) - Math.ceil(over / 5)), max, escaping);
}

/** What Slack answers in one word, and what to do about it. */
const remedies: Readonly<Record<string, string>> = {
  action_prohibited: "a workspace setting forbids it",
  channel_is_archived: "choose another channel",
  channel_not_found: "the webhook's channel is gone: make a new webhook",
  invalid_token: "the webhook is not valid any more: make a new one",
  no_service: "the webhook is switched off or gone: make a new one",
};

function explained(request: HttpRequest, answer: HttpAnswer): ActionError {
  const error = refusalOf(request, answer);
  const remedy = Object.entries(remedies).find(([word]) => word === answer.body.trim())?.[1];
  const { code, message, retryAfterMs, notBegun } = error;
  return remedy === undefined ? error : new ActionError(code, `${message} (${remedy})`, { retryAfterMs, notBegun });
}
