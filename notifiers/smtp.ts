import { defineNotifier, type Notification, type SettingFault } from "../src/catalogue/catalogue.ts";
import { addressIn, type Encryption, encryptions, type Mail, type MailServer } from "../src/clients/mail/port.ts";
import { choice, flag, longText, secret, text } from "../src/schema/field.ts";
import type { Secret } from "../src/schema/secret.ts";
import { pairFaults } from "./endpoint.ts";
import { idOf, type Message, messageOf, textOf } from "./message.ts";
import { escapeHtml, render, templateFaults } from "./template.ts";

export const smtp = defineNotifier({
  id: "smtp",
  summary: "Send a mail",
  description: [
    "Without `tls` and `encryption` the connection is encrypted where the server offers STARTTLS, and then its certificate must be right;",
    "on port 465 from the start. With a `password` it must be, unless `unencrypted_login` says otherwise.",
    "Where the server takes the mail for some recipients only, the notification counts as failed and is not sent again.",
    "A `template` gives the body in the mail's format, values in it escaped for HTML; the text beside it stays the default one.",
  ].join("\n"),
  uses: ["mail"],
  rbac: [],
  settings: {
    host_port: text("Server and port: `mail.example.org:587`", { required: true, pattern: "^.+:[0-9]{1,5}$" }),
    from: text("Sender: an address, or `Name <address>`", { required: true, minLength: 1 }),
    to: text("Recipients likewise, separated by commas", { required: true, minLength: 1 }),
    user: text("User, where the server asks for one"),
    password: secret("The user's password"),
    format: choice("Format of the mail; beside HTML there is always the text", ["html", "text"], { default: "html" }),
    tls: flag("Send nothing unencrypted: on port 465 TLS from the start, on others STARTTLS", { default: false }),
    encryption: choice(
      "Instead of `tls`: `tls` from the start, `starttls`, `opportunistic` (STARTTLS where offered) or `none`",
      encryptions,
    ),
    unencrypted_login: flag("Send the password over a connection that is not encrypted, too", { default: false }),
    ca: longText("Authorities of the server's certificate, PEM, instead of the well-known ones"),
    subject: text("Liquid template of the subject", { minLength: 1 }),
    template: longText("Liquid template of the mail, in its format"),
  },

  check: (settings) => [
    ...addressFaults(settings),
    ...serverFaults(settings),
    ...templateFaults({
      subject: { template: settings.subject, medium: "line" },
      template: { template: settings.template, medium: settings.format },
    }),
  ],

  async notify({ notification, settings, clients, signal }) {
    await clients.mail.send(mailOf(notification, settings), serverOf(settings), signal);
  },
});

const maxSubject = 200;

interface Settings {
  readonly host_port: string;
  readonly from: string;
  readonly to: string;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  readonly format: "html" | "text";
  readonly tls: boolean;
  readonly encryption: Encryption | undefined;
  readonly unencrypted_login: boolean;
  readonly ca: string | undefined;
  readonly subject: string | undefined;
  readonly template: string | undefined;
}

function addressFaults({ from, to }: Settings): readonly SettingFault[] {
  const sender = addressIn(from) === undefined ? [{ setting: "from", message: '"from" must be a mail address' }] : [];
  const others = recipients(to).flatMap((one, index) => {
    const message = `"to" must be mail addresses, separated by commas; number ${index + 1} is none`;
    return addressIn(one) === undefined ? [{ setting: "to", message }] : [];
  });
  return [...sender, ...others];
}

function serverFaults(settings: Settings): readonly SettingFault[] {
  const { host_port, tls, encryption } = settings;
  const { port } = placeOf(host_port);
  const plain = encryption === "none" || encryption === "opportunistic";
  return [
    ...(port < 1 || port > 65_535 ? [{ setting: "host_port", message: '"host_port" must end in a port' }] : []),
    ...(tls && plain ? [{ setting: "encryption", message: `"encryption" is ${encryption}, but "tls" is true` }] : []),
    ...pairFaults(settings, "user", "password"),
  ];
}

function serverOf({ host_port, user, password, tls, encryption, unencrypted_login, ca }: Settings): MailServer {
  const place = placeOf(host_port);
  return {
    ...place,
    encryption: encryption ?? encryptionOf(place.port, tls),
    ca,
    login:
      user === undefined || password === undefined
        ? undefined
        : { user, password: password.reveal(), unencrypted: unencrypted_login },
  };
}

/** Port 465 is that of SMTP over TLS (RFC 8314). */
function encryptionOf(port: number, tls: boolean): Encryption {
  if (port === 465) {
    return "tls";
  }
  return tls ? "starttls" : "opportunistic";
}

function placeOf(hostPort: string): { readonly host: string; readonly port: number } {
  const colon = hostPort.lastIndexOf(":");
  return { host: hostPort.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(hostPort.slice(colon + 1)) };
}

function recipients(to: string): readonly string[] {
  return to
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

function mailOf(notification: Notification, settings: Settings): Mail {
  const subject = render(settings.subject, "line", notification);
  const body = render(settings.template, settings.format, notification);
  const message = messageOf(notification, subject.note ?? body.note);
  const text = settings.format === "text" ? (body.text ?? textOf(message)) : textOf(message);
  return {
    id: idOf(notification),
    date: new Date(notification.at),
    from: settings.from,
    to: recipients(settings.to),
    subject: subjectOf(subject.text, message),
    text,
    html: settings.format === "html" ? (body.text ?? htmlOf(message)) : undefined,
  };
}

function subjectOf(rendered: string | undefined, { headline }: Message): string {
  const subject = rendered ?? `[Hallux] ${headline}`;
  return subject.length > maxSubject ? `${subject.slice(0, maxSubject).toWellFormed()}…` : subject;
}

/** Tables and inline styles, which is what mail programs agree on. */
function htmlOf({ headline, summary, facts, undo, note }: Message): string {
  const rows = [...facts, ...(undo === undefined ? [] : [{ name: "To undo it", value: undo, long: true }])].map(
    ({ name, value, long }) => {
      const content =
        long === true ? `<pre style="white-space:pre-wrap;margin:0">${escapeHtml(value)}</pre>` : escapeHtml(value);
      return `<tr><th align="left" valign="top" style="padding:2px 12px 2px 0">${escapeHtml(name)}</th><td>${content}</td></tr>`;
    },
  );
  return [
    "<!DOCTYPE html>",
    '<html><head><meta charset="utf-8"></head><body style="font-family:sans-serif">',
    `<h2>${escapeHtml(headline)}</h2>`,
    `<p>${escapeHtml(summary)}</p>`,
    "<table>",
    ...rows,
    "</table>",
    ...(note === undefined ? [] : [`<p><em>${escapeHtml(note)}</em></p>`]),
    "</body></html>",
    "",
  ].join("\n");
}
