import { alertmanager } from "../notifiers/alertmanager.ts";
import { elasticsearch } from "../notifiers/elasticsearch.ts";
import { falcosidekick } from "../notifiers/falcosidekick.ts";
import { loki } from "../notifiers/loki.ts";
import { slack } from "../notifiers/slack.ts";
import { smtp } from "../notifiers/smtp.ts";
import { webhook } from "../notifiers/webhook.ts";
import { httpNotifierPeer } from "./support/http-notifier-peer.ts";
import { describeNotifier, type Manner, type NotifierSubject } from "./support/notifier-contract.ts";
import { smtpPeer } from "./support/smtp-peer.ts";

const mentions = /<(?![\s\u2060])|@(?=\w)/g;

const subjects: readonly NotifierSubject[] = [
  {
    notifier: slack,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({ webhook_url: urlOf(port, encrypted, "/services/T00/B00/s3cr3t-t0k3n") }),
    secrets: ["s3cr3t-t0k3n"],
    harmIn: (received) => received.match(/<|\\u00[01]|\u202e|\\r|"text":"🟢[^"]*@(channel|everyone)/g),
    retryAfterMs: 7000,
  },
  {
    notifier: webhook,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({
      url: urlOf(port, encrypted, "/hook/s3cr3t-t0k3n"),
      custom_headers: { authorization: "Bearer an0ther-s3cr3t" },
    }),
    secrets: ["s3cr3t-t0k3n", "an0ther-s3cr3t"],
    // JSON's own escapes are all that it needs.
    harmIn: (received) => received.match(/[^\P{Cc}\n\x80-\x9f]|^X-Evil/gmu),
    retryAfterMs: 7000,
  },
  {
    notifier: smtp,
    peer: mailServer,
    settings: ({ port, encrypted }) => ({
      host_port: `127.0.0.1:${port}`,
      from: "Hallux <hallux@example.org>",
      to: "team@example.org, Sam <sam@example.org>",
      user: "hallux",
      password: "s3cr3t-passw0rd",
      encryption: encrypted ? "starttls" : "none",
      unencrypted_login: !encrypted,
    }),
    secrets: ["s3cr3t-passw0rd", Buffer.from("\u0000hallux\u0000s3cr3t-passw0rd").toString("base64")],
    harmIn(received) {
      const [headers = "", ...bodies] = received.split("\n\n");
      const html = received.slice(received.indexOf("<!DOCTYPE"));
      return [
        ...(headers.match(/^(bcc|x-evil)/gim) ?? []),
        ...(html.match(/<(script|img|!c)/g) ?? []),
        ...(bodies.join().match(/[^\P{Cc}\n]|\u202e/gu) ?? []),
      ];
    },
    retryAfterMs: undefined,
  },
  {
    notifier: loki,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({
      url: urlOf(port, encrypted, "/s3cr3t-t0k3n/"),
      user: "hallux",
      api_key: "an0ther-s3cr3t",
      custom_headers: { "x-key": "th1rd-s3cr3t" },
    }),
    secrets: ["s3cr3t-t0k3n", "an0ther-s3cr3t", "th1rd-s3cr3t", basic("hallux:an0ther-s3cr3t")],
    harmIn: harmInJson,
    retryAfterMs: 7000,
  },
  {
    notifier: elasticsearch,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({
      url: urlOf(port, encrypted, "/s3cr3t-t0k3n/"),
      user: "hallux",
      password: "an0ther-s3cr3t",
    }),
    secrets: ["s3cr3t-t0k3n", "an0ther-s3cr3t", basic("hallux:an0ther-s3cr3t")],
    harmIn: harmInJson,
    retryAfterMs: 7000,
  },
  {
    notifier: alertmanager,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({
      urls: [urlOf(port, encrypted, "")],
      bearer_token: "s3cr3t-t0k3n",
      statuses: ["success"],
    }),
    secrets: ["s3cr3t-t0k3n"],
    // The names of rule and action, which are the user's own, are labels as they are.
    harmIn: (received) => [
      ...(harmInJson(received) ?? []),
      ...(received.slice(received.indexOf('"annotations"')).match(mentions) ?? []),
    ],
    retryAfterMs: 7000,
  },
  {
    notifier: falcosidekick,
    peer: httpNotifierPeer,
    settings: ({ port, encrypted }) => ({ url: urlOf(port, encrypted, "/s3cr3t-t0k3n") }),
    secrets: ["s3cr3t-t0k3n"],
    harmIn: (received) => [...(harmInJson(received) ?? []), ...(received.match(mentions) ?? [])],
    retryAfterMs: 7000,
  },
];

for (const subject of subjects) {
  describeNotifier(subject);
}

function basic(credentials: string): string {
  return Buffer.from(credentials).toString("base64");
}

/** Control characters, as they are or escaped, but the line break; marks that turn text around. */
function harmInJson(received: string): readonly string[] | null {
  return received.match(/[^\P{Cc}\n]|[\u202e\u2066\ufeff]|\\u00[01]|\\r|^X-Evil/gmu);
}

function urlOf(port: number, encrypted: boolean, path: string): string {
  return `${encrypted ? "https" : "http"}://127.0.0.1:${port}${path}`;
}

async function mailServer(manner: Manner) {
  const answering = (responseCode: number, words: string) => Object.assign(new Error(words), { responseCode });
  switch (manner) {
    case "accepts":
      return smtpPeer({ disabledCommands: ["STARTTLS"] });
    case "encrypts":
      return smtpPeer();
    case "hangs":
      return smtpPeer({ disabledCommands: ["STARTTLS"], onConnect: () => undefined });
    case "throttles":
      return smtpPeer({
        disabledCommands: ["STARTTLS"],
        onRcptTo: (_address, _session, done) => done(answering(451, "4.7.1 greylisted")),
      });
    case "fails": {
      const peer = await smtpPeer({
        disabledCommands: ["STARTTLS"],
        onAuth: (auth, _session, done) => {
          received.push(`${auth.username} ${auth.password}`);
          done(answering(454, `4.7.0 cannot check ${auth.username} ${auth.password} now`));
        },
      });
      const received: string[] = [];
      return { ...peer, received };
    }
  }
}
