import { defineNotifier, type Notification } from "../src/catalogue/catalogue.ts";
import { secretsIn, secretsInHeaders } from "../src/clients/http/port.ts";
import { choice, longText, text } from "../src/schema/field.ts";
import { deliver, headerFaults, httpSettings, revealed, secretUrl } from "./endpoint.ts";
import { type Medium, render, templateFaults } from "./template.ts";

export const webhook = defineNotifier({
  id: "webhook",
  summary: "Send each outcome as JSON to a URL",
  description: [
    "The body is `{ event, rule, action, response, outcome, at }`; `event` is the event as it was sent, every digit of its",
    "numbers included. Any 2xx answer counts as delivered. Redirects are not followed.",
    "A `template` gives another body: with a content type of JSON values are escaped to stand between quotes, and `| json` makes one",
    "with its quotes.",
  ].join("\n"),
  uses: ["http"],
  rbac: [],
  settings: {
    url: secretUrl("Where to send it"),
    http_method: choice("Method of the request", ["POST", "PUT"], { default: "POST" }),
    user_agent: text("User agent of the request", { default: "hallux", minLength: 1 }),
    content_type: text("Content type of the request", { default: "application/json", minLength: 1 }),
    template: longText("Liquid template of the body, in place of the JSON"),
    ...httpSettings,
  },

  check: ({ custom_headers, user_agent, content_type, template }) => [
    ...headerFaults(
      custom_headers,
      { setting: "user_agent", header: "User-Agent", value: user_agent },
      { setting: "content_type", header: "Content-Type", value: content_type },
    ),
    ...templateFaults({ template: { template, medium: mediumOf(content_type) } }),
  ],

  async notify({ notification, settings, clients, signal }) {
    const url = new URL(settings.url.reveal());
    const custom = revealed(settings.custom_headers);
    const request = {
      url,
      method: settings.http_method,
      headers: { "content-type": settings.content_type, "user-agent": settings.user_agent, ...custom },
      body: bodyOf(notification, settings),
      ca: settings.ca,
      secrets: [...secretsIn(url), ...secretsInHeaders(custom)],
    };

    await deliver(request, clients.http, signal);
  },
});

function bodyOf(
  notification: Notification,
  { template, content_type }: { readonly template: string | undefined; readonly content_type: string },
): string {
  const { text, note } = render(template, mediumOf(content_type), notification);
  const { event, rule, action, response, at } = notification;
  const { durationMs: duration_ms, ...ending } = notification.outcome;
  return (
    text ?? JSON.stringify({ event: event.sent, rule, action, response, outcome: { ...ending, duration_ms }, at, note })
  );
}

function mediumOf(contentType: string): Medium {
  return /^[^;]*\bjson\b/i.test(contentType) ? "json" : "text";
}
