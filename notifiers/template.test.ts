import { describe, expect, it } from "vitest";
import { parseJson } from "../src/events/json.ts";
import { eventOf } from "../test/support/events.ts";
import { notificationOf } from "../test/support/notifications.ts";
import { messageOf, textOf } from "./message.ts";
import { type Medium, render, templateFaults, variables } from "./template.ts";

const fields = { "proc.cmdline": `<b> & "x" 'y'\n@here \u202e`, "evt.time": parseJson("1763689041886038257") };
const artifact = { output: "aws:s3", location: "s3://evidence/x", bytes: 12, sha256: "ab12" };
const notification = notificationOf({
  event: eventOf({ pod: "shop/cart-1", tags: ["a", "b"], fields: { ...fields, __proto__: "p", constructor: "c" } }),
  outcome: { artifact, objects: { pod: "cart-1" } },
});

function faultOf(template: string, medium: Medium = "text"): string | undefined {
  return templateFaults({ template: { template, medium } })[0]?.message;
}

describe("a template", () => {
  it.each([
    ["{{ event.rule }} on {{ target.namespace }}/{{ target.name }}", "Terminal shell in container on shop/cart-1"],
    ['{{ event.fields["k8s.pod.name"] }} {{ event.fields["nothing"] }}.', "cart-1 ."],
    ['{{ event.fields["evt.time"] }} {{ artifact.bytes }}', "1763689041886038257 12"],
    ["{{ event.tags }} {% for tag in event.tags %}[{{ tag }}]{% endfor %}", "a, b [a][b]"],
    ["{% for object in outcome.objects %}{{ object[0] }}={{ object[1] }}{% endfor %}", "pod=cart-1"],
    ["{% if artifact %}stored{% endif %}{% if rule.description %}described{% endif %}", "stored"],
    ["{{ event.rule | upcase | slice: 0, 8 }}{{ ', ' }}.", "TERMINAL, ."],
    ["{% capture x %}{{ action.name }}{% endcapture %}{{ x }}", "label"],
    ["{{ event.fields.constructor }}{{ event.fields.hasOwnProperty }}", "c"],
    ["{{ at | date: '%Y-%m-%d %H:%M' }}", "2026-11-21 08:15"],
  ])("%s", (template, expected) => {
    expect(faultOf(template)).toBeUndefined();
    expect(render(template, "text", notification)).toEqual({ text: expected });
  });

  it("can say each of the variables, the whole default text among them", () => {
    const template = Object.keys(variables)
      .map((name) => `{{ ${name} }}`)
      .join("\n");

    const { text = "" } = render(template, "text", notification);

    expect(faultOf(template)).toBeUndefined();
    expect(text).toContain(textOf(messageOf(notification)).trim());
  });

  it.each<[Medium, string]>([
    ["line", `<b> & "x" 'y' @here`],
    ["text", `<b> & "x" 'y'\n@here  `],
    ["html", "&lt;b&gt; &amp; &quot;x&quot; &#39;y&#39;\n@here  "],
    ["mrkdwn", "&lt;b&gt; &amp; \"x\" 'y'\n@\u2060here  "],
  ])("escapes values for %s, and what a filter or a capture makes of them", (medium, expected) => {
    const variable = 'event.fields["proc.cmdline"]';
    const templates = [`{{ ${variable} }}`, `{{ ${variable} | append: "" }}`, `{% echo ${variable} %}`];

    const texts = templates.map((template) => render(template, medium, notification).text);

    expect(texts).toEqual([expected, expected, expected]);
  });

  it("escapes values for JSON to stand between quotes, or makes them with theirs", () => {
    const template =
      '{"a": "{{ event.fields["proc.cmdline"] }}", "b": {{ event | json }}, "c": {{ event.nothing | json }}}';

    const { text = "" } = render(template, "json", notification);

    expect(JSON.parse(text)).toMatchObject({
      a: fields["proc.cmdline"],
      b: { fields: { "proc.cmdline": fields["proc.cmdline"], "evt.time": "1763689041886038257" } },
      c: null,
    });
  });

  it.each([
    ["{{ event.rule | raw }}", "undefined filter: raw"],
    ["{{ event.rule | nope }}", "undefined filter: nope"],
    ["{% include '/etc/passwd' %}", 'tag "include" not found'],
    ["{% render 'x' %}", 'tag "render" not found'],
    ["{% layout 'x' %}", 'tag "layout" not found'],
    ["ab\n{% if event.rule %}", "not closed, line:2, col:1"],
    ["{{ evnt.rule }}", 'there is no variable "evnt.rule" (did you mean "event.rule"?)'],
    ["{{ event.nothing }}", 'there is no variable "event.nothing" (known: event.rule, event.priority,'],
    ["{% for x in targets %}{% endfor %}", 'there is no variable "targets"'],
    ["x".repeat(70_000), "parse length limit exceeded"],
  ])("is refused where it could not work: %s", (template, reason) => {
    expect(faultOf(template.slice(0, 70_000))).toContain(reason);
  });

  it.each([
    ["runs for ever", "{% for i in (1..99999999) %}{% for j in (1..99999999) %}{% endfor %}{% endfor %}"],
    ["gives too much", `{% for i in (1..3000) %}${"x".repeat(1000)}{% endfor %}`],
    [
      "takes too much memory",
      "{% assign x = 'xxxxxxxxxx' %}{% for i in (1..60) %}{% assign x = x | append: x %}{% endfor %}",
    ],
    ["gives nothing", "{% if event.hostnam %}x{% endif %} "],
    ["gives no JSON", '{"a": {{ event.rule }}}'],
  ])("that %s gives no text, but says so", (_, template) => {
    const { text, note } = render(template, "json", notification);

    expect(text).toBeUndefined();
    expect(note).toMatch(/this is the default text/);
  });

  it("sees the start of a long value", () => {
    const long = notificationOf({ event: eventOf({ output: "é".repeat(1_000_000) }) });

    const { text = "" } = render("{{ event.output }}", "text", long);

    expect(text.startsWith("éééé")).toBe(true);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(16 * 1024);
  });

  it("keeps nothing for the next one", () => {
    render("{% assign x = 1 %}{% increment y %}", "text", notification);

    const { text } = render("{% increment y %}", "text", notification);

    expect(text).toBe("0");
  });

  it("is not needed", () => {
    expect(render(undefined, "text", notification)).toEqual({});
  });
});
