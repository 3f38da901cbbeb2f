import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { realCatalogue } from "../../test/support/real-catalogue.ts";
import { sampleCatalogue } from "../../test/support/sample-catalogue.ts";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { describeProblem } from "../schema/problem.ts";
import { Secret } from "../schema/secret.ts";
import { type ConfigReading, loadConfig } from "./load.ts";
import type { Config } from "./schema.ts";

describe("a Talon configuration", () => {
  const talon = readFileSync(new URL("fixtures/talon.yaml", import.meta.url), "utf8");

  it("loads unchanged", () => {
    const config = configOf(load({ yaml: talon, catalogue: realCatalogue }));

    expect(config).toMatchObject({
      listen_address: "0.0.0.0",
      listen_port: 2803,
      rules_files: ["./rules.yaml"],
      log_format: "color",
      print_all_events: true,
      default_notifiers: ["k8sevents"],
      deduplication: { time_window_seconds: 5 },
    });
  });

  it("is told what in it has no effect here", () => {
    const reading = load({ yaml: talon, catalogue: realCatalogue });

    expect(reading).toMatchObject({
      remarks: ["deduplication.leader_election has no effect: Hallux needs no leader"],
    });
  });

  it("loads with every setting of its reference", () => {
    const reading = load({
      catalogue: realCatalogue,
      yaml: [
        "kubeconfig: ~/.kube/config",
        "aws: {region: r, access_key: a, secret_key: s, role_arn: arn, external_id: x}",
        "gcp: {region: r, credentials_path: /p}",
        "minio: {endpoint: e, access_key: a, secret_key: s, use_ssl: 'true'}",
        "notifiers:",
        "  slack: {webhook_url: 'https://example.org/t', icon: i, username: n, footer: f, format: short}",
        "  smtp: {host_port: 'h:25', from: f@example.org, to: 'a@example.org, b@example.org', user: u, password: p, format: text, tls: true}",
        "  loki: {url: 'http://loki:3100', user: u, api_key: k, tenant: t, custom_headers: {a: b}}",
        "  elasticsearch: {url: 'http://es:9200', user: u, password: p, index: i, suffix: monthly, create_index_template: false,",
        "    number_of_shards: 1, number_of_replicas: '0', custom_headers: {}}",
        "  webhook: {url: 'https://example.org', http_method: PUT, custom_headers: {a: b}}",
        "  k8sevents: {}",
      ].join("\n"),
    });

    expect(problemsOf(reading)).toEqual([]);
    expect(configOf(reading).kubeconfig).toBe("~/.kube/config");
    expect(configOf(reading).aws.secret_key?.reveal()).toBe("s");
  });

  it("loads where a chart left settings empty", () => {
    const reading = load({
      catalogue: realCatalogue,
      yaml: "aws:\nminio: {endpoint: ''}\nnotifiers:\n  webhook: {url: ''}\n  slack: {footer: ''}",
    });

    expect(problemsOf(reading)).toEqual([]);
    expect(reading).toMatchObject({ remarks: [] });
    expect(Object.keys(configOf(reading).notifiers)).not.toContain("webhook");
  });
});

describe("defaults", () => {
  it("are all there is without a file", () => {
    const reading = load({});

    expect(configOf(reading)).toMatchObject({
      listen_address: "0.0.0.0",
      listen_port: 2803,
      max_body_bytes: 1_048_576,
      rules_files: ["/etc/falco-talon/rules.yaml"],
      log_format: "color",
      log_level: "info",
      default_notifiers: [],
      protected_namespaces: ["kube-system", "kube-public", "kube-node-lease"],
      action_timeout_seconds: 30,
      concurrency: 256,
      auth: {},
      tls: {},
      self: { namespace: undefined, pod: undefined },
    });
    expect(configOf(reading).notifiers).toEqual({ k8sevents: {} });
    expect(reading).toMatchObject({ remarks: [], origins: new Map() });
  });

  it("stand where a file is empty", () => {
    const config = configOf(load({ yaml: "# nothing yet\n" }));

    expect(config.listen_port).toBe(2803);
  });
});

describe("the environment", () => {
  it("wins over the file, setting by setting", () => {
    const reading = load({
      yaml: "listen_port: 1\ndeduplication: {time_window_seconds: 1, leader_election: false}\n",
      env: { LISTEN_PORT: "2", DEDUPLICATION_TIME_WINDOW_SECONDS: "60" },
    });

    expect(configOf(reading)).toMatchObject({
      listen_port: 2,
      deduplication: { time_window_seconds: 60, leader_election: false },
    });
    expect(reading).toMatchObject({
      origins: new Map([
        ["listen_port", "environment"],
        ["deduplication.leader_election", "file"],
        ["deduplication.time_window_seconds", "environment"],
      ]),
    });
  });

  it("gives lists by comma or blank, maps as pairs, and flags as 1 or true", () => {
    const config = configOf(
      load({
        env: {
          RULES_FILES: "/a.yaml, /b.yaml /c.yaml",
          PRINT_ALL_EVENTS: "1",
          WATCH_RULES: "false",
          NOTIFIERS_WEBHOOK_URL: "https://example.org",
          NOTIFIERS_WEBHOOK_CUSTOM_HEADERS: "X-One=1, X-Two=a=b",
        },
      }),
    );

    expect(config.rules_files).toEqual(["/a.yaml", "/b.yaml", "/c.yaml"]);
    expect(config).toMatchObject({ print_all_events: true, watch_rules: false });
    expect(config.notifiers["webhook"]).toMatchObject({
      url: "https://example.org",
      custom_headers: { "X-One": "1", "X-Two": "a=b" },
    });
  });

  it("gives nothing by an empty variable", () => {
    const config = configOf(load({ yaml: "log_format: json", env: { LOG_FORMAT: "" } }));

    expect(config.log_format).toBe("json");
  });

  it("is named in its Problems", () => {
    const reading = load({ env: { LISTEN_PORT: "many", NOTIFIERS_WEBHOOK_ULR: "https://example.org" } });

    expect(problemsOf(reading)).toEqual([
      'environment: LISTEN_PORT: error: "listen_port" must be an integer',
      'environment: NOTIFIERS_WEBHOOK_ULR: error: no such setting (did you mean "NOTIFIERS_WEBHOOK_URL"?)',
    ]);
  });

  it("is left alone where Kubernetes or the AWS SDK mean something else by it", () => {
    const reading = load({
      env: {
        OTEL_COLLECTOR_PORT: "tcp://10.0.0.1:4317",
        AWS_ROLE_ARN: "arn:aws:iam::1:role/pod",
        AWS_WEB_IDENTITY_TOKEN_FILE: "/token",
      },
    });

    expect(configOf(reading).otel.collector_port).toBeUndefined();
    expect(configOf(reading).aws.role_arn).toBeUndefined();
  });
});

describe("the pod that Hallux runs in", () => {
  it("is what the downward API says", () => {
    const config = configOf(load({ env: { POD_NAMESPACE: "sec", POD_NAME: "hallux-1", HOSTNAME: "other" } }));

    expect(config.self).toEqual({ namespace: "sec", pod: "hallux-1" });
  });

  it("is found in a cluster without it", () => {
    const files = { "/var/run/secrets/kubernetes.io/serviceaccount/namespace": "sec\n" };

    const config = configOf(load({ env: { HOSTNAME: "hallux-1" }, files }));

    expect(config.self).toEqual({ namespace: "sec", pod: "hallux-1" });
  });
});

describe("secrets", () => {
  it("come from the file, the environment, or files that either names", () => {
    const config = configOf(
      load({
        yaml: "auth: {bearer_token: inline, path_secret_file: /run/path}\n",
        env: { AUTH_BASIC_USER: "falco", AUTH_BASIC_PASSWORD_FILE: "/run/password" },
        files: { "/run/path": "from-a-file\n", "/run/password": "two lines\nkept\r\n" },
      }),
    );

    expect(config.auth.bearer_token?.reveal()).toBe("inline");
    expect(config.auth.path_secret?.reveal()).toBe("from-a-file");
    expect(config.auth.basic_password?.reveal()).toBe("two lines\nkept");
  });

  it("never show when the configuration is printed", () => {
    const config = configOf(load({ yaml: "aws: {access_key: k, secret_key: hidden}\nauth: {bearer_token: hidden}\n" }));

    expect(JSON.stringify(config)).not.toContain("hidden");
    expect(config.auth.bearer_token).toBeInstanceOf(Secret);
  });

  it("of the environment replace a file's, in either form", () => {
    const config = configOf(
      load({ yaml: "auth: {bearer_token_file: /nowhere}\n", env: { AUTH_BEARER_TOKEN: "from-the-environment" } }),
    );

    expect(config.auth.bearer_token?.reveal()).toBe("from-the-environment");
  });

  it("are Problems where they are empty, unreadable, given twice or no text, and are not quoted", () => {
    const reading = load({
      yaml: [
        "auth:",
        "  bearer_token: ''",
        "  basic_user: falco",
        "  basic_password_file: /run/empty",
        "  path_secret: shown-nowhere",
        "  path_secret_file: /run/other",
        "aws: {access_key: k, secret_key_file: /run/absent}",
        "minio: {secret_key: [shown-nowhere]}",
        "notifiers: {webhook: {token_file: [1]}}",
      ].join("\n"),
      files: { "/run/empty": "\n", "/run/other": "x" },
    });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:2:3: error: "bearer_token" is empty (give it a value, or take the key out)',
      "config.yaml:4:24: error: the file is empty",
      'config.yaml:6:21: error: "path_secret" and "path_secret_file" are both given; give one of them',
      "config.yaml:7:39: error: the file cannot be read: it does not exist",
      'config.yaml:8:9: error: "secret_key" must be a text',
      'config.yaml:9:35: error: "token_file" must be the path of a file',
    ]);
    expect(JSON.stringify(reading)).not.toContain("shown-nowhere");
  });
});

describe("a credential that is given and empty", () => {
  it.each([
    ["an empty value", "auth: {path_secret: }\n", "1:8", "path_secret"],
    ["null", "auth:\n  bearer_token: null\n", "2:3", "bearer_token"],
    ["a tilde", "auth: {path_secret: ~}\n", "1:8", "path_secret"],
    ["an empty text", "auth: {path_secret: ''}\n", "1:8", "path_secret"],
    ["a file without a name", "auth: {path_secret_file: }\n", "1:8", "path_secret_file"],
    ["a file of an empty name", "auth: {path_secret_file: ''}\n", "1:8", "path_secret_file"],
    ["an alias to null", "aws: {region: &none }\nauth: {path_secret: *none}\n", "2:8", "path_secret"],
    ["a merged null", "auth: {<<: {path_secret: null}}\n", "1:13", "path_secret"],
    ["the token of the API", "api:\n  token:\n", "2:3", "token"],
    ["an empty token of the API", "api: {token: ''}\n", "1:7", "token"],
    ["a token's file without a name", "api: {token_file: }\n", "1:7", "token_file"],
  ])("is a Problem: %s", (_case, yaml, place, name) => {
    const reading = load({ yaml });

    expect(problemsOf(reading)).toEqual([
      `config.yaml:${place}: error: "${name}" is empty (give it a value, or take the key out)`,
    ]);
  });

  it("is a Problem for each of them, and for nothing beside them", () => {
    const reading = load({ yaml: "auth:\n  basic_user:\n  basic_password:\n" });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:2:3: error: "basic_user" is empty (give it a value, or take the key out)',
      'config.yaml:3:3: error: "basic_password" is empty (give it a value, or take the key out)',
    ]);
  });

  it.each(["auth:\n", "auth: null\n", "aws: &none\nauth: *none\n"])("is a Problem as a whole: %j", (yaml) => {
    const reading = load({ yaml });

    expect(problemsOf(reading)).toEqual([
      expect.stringMatching(
        /^config\.yaml:[12]:\d+: error: "auth" is empty \(name who may send events, or write auth: \{\} for everyone\)$/,
      ),
    ]);
  });

  it.each(["AUTH_PATH_SECRET", "AUTH_PATH_SECRET_FILE", "API_TOKEN", "API_TOKEN_FILE"])(
    "is a Problem as the variable %s",
    (variable) => {
      const reading = load({ env: { [variable]: "" } });

      expect(problemsOf(reading)).toEqual([
        `environment: ${variable}: error: it is empty (give it a value, or take the variable out)`,
      ]);
    },
  );

  it("is none where the environment gives it", () => {
    const config = configOf(load({ yaml: "auth: {path_secret: }\n", env: { AUTH_PATH_SECRET: "given" } }));

    expect(config.auth.path_secret?.reveal()).toBe("given");
  });

  it("is none where it is a map that says so, or another section's", () => {
    const config = configOf(load({ yaml: "auth: {}\napi:\nminio: {secret_key: }\naws:\n" }));

    expect(config.auth.path_secret).toBeUndefined();
  });
});

describe("Problems", () => {
  it.each([
    ["a URL", "notifiers: {alertmanager: {urls: ['http://u:hush@h/ x']}}"],
    ["a URL with its user", "notifiers: {alertmanager: {urls: ['http://u:hush@h']}}"],
    ["a list of URLs that is none", "ledger: {nats: {servers: 'nats://u:hush@h'}}"],
    ["an endpoint", "minio: {endpoint: 'http://u:hush@h', access_key: a, secret_key: s}"],
    ["a mail server", "notifiers: {smtp: {host_port: 'u:hush', from: a@b.c, to: a@b.c}}"],
    ["a sender", "notifiers: {smtp: {host_port: 'h:25', from: hush, to: hush}}"],
    ["a collector", "otel: {collector_endpoint: 'http://u:hush@h'}"],
    ["a map that is none", "notifiers: {webhook: {url: 'https://h', custom_headers: 'authorization hush'}}"],
    ["a header without a blank before it", "notifiers: {loki: {url: 'https://h', custom_headers: {X-Key:hush}}}"],
    ["a header without a colon before it", "notifiers: {loki: {url: 'https://h', custom_headers: {X-Key hush}}}"],
    ["a header of two lines", "notifiers: {loki: {url: 'https://h', custom_headers: {X-Key: \"a\\nhush\"}}}"],
    ["a header that is no text", "notifiers: {webhook: {url: 'https://h', custom_headers: {a: [hush]}}}"],
    ["a section", "auth: hush"],
    ["a choice", "log_format: hush"],
    ["a number", "listen_port: hush"],
    ["a flag", "print_all_events: hush"],
    ["a notifier", "default_notifiers: [hush]"],
    ["a secret where its file's name belongs", "auth: {path_secret_file: hush}"],
    ["a key where its file's name belongs", "tls: {cert_file: /c, key_file: hush}"],
    ["a value without a blank before it", "auth: {bearer_token:hush}"],
    ["a value without a colon before it", "auth: {bearer_token hush}"],
    ["a template", "notifiers: {webhook: {url: 'https://h', template: '{{ event.rule hush'}}"],
    ["a template's expression", "notifiers: {webhook: {url: 'https://h', template: '{% if %}hush'}}"],
  ])("quote no value: %s", (_case, yaml) => {
    const reading = load({ yaml, files: { "/c": "x" }, catalogue: realCatalogue });

    expect(problemsOf(reading)).not.toEqual([]);
    expect(problemsOf(reading).join("\n")).not.toContain("hush");
  });

  it.each(["kéy", "k\ney ", "key "])("tell a token that no sender's header can hold: %j", (token) => {
    const reading = load({ yaml: `auth: {bearer_token: ${JSON.stringify(token)}}` });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:1:8: error: "bearer_token" must be of the form ^[!-~]([ -~]*[!-~])?$',
    ]);
  });

  it("tell headers that cannot be sent, each where it stands, and which character is at fault", () => {
    const reading = load({
      catalogue: realCatalogue,
      env: { NOTIFIERS_FALCOSIDEKICK_CUSTOM_HEADERS: "X-Team:=blue" },
      files: { "/key": "k3y\n\n" },
      yaml: [
        "notifiers:",
        "  webhook:",
        "    url: https://example.org",
        "    user_agent: Hallux 🦅",
        "    custom_headers:",
        "      X Team: blue",
        '      X-Key: "s3cr3t\\r\\nX-Evil: 1"',
        "      Content-Length: 5",
        "      X-Team: blue",
        "      x-team: red",
        "      Authorization:Bearer t0k3n:",
        '  loki: {url: https://example.org, tenant: "a\\0", custom_headers: {"": x}}',
        "  elasticsearch: {url: https://example.org, api_key_file: /key}",
        "  alertmanager: {urls: [https://example.org], bearer_token: 'ключ'}",
        "  falcosidekick: {url: https://example.org}",
      ].join("\n"),
    });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:4:17: error: HTTP does not allow the header "User-Agent": character 8 of its value is U+1F985',
      'config.yaml:6:7: error: HTTP does not allow the header "X…": a blank stands in its name',
      'config.yaml:7:7: error: HTTP does not allow the header "X-Key": character 7 of its value is a line break',
      'config.yaml:8:7: error: the header "Content-Length" cannot be set: leave it to Hallux',
      'config.yaml:10:7: error: the header "x-team" is given twice',
      'config.yaml:11:7: error: HTTP does not allow the header "Authorization…": ":" stands in its name',
      'config.yaml:12:44: error: HTTP does not allow the header "X-Scope-OrgID": character 2 of its value is U+0000',
      'config.yaml:12:68: error: HTTP does not allow the header "": it has no name',
      'config.yaml:13:45: error: HTTP does not allow the header "Authorization": character 4 of its value is a line break',
      'config.yaml:14:47: error: HTTP does not allow the header "Authorization": character 1 of its value is U+043A',
      'environment: NOTIFIERS_FALCOSIDEKICK_CUSTOM_HEADERS: error: HTTP does not allow the header "X-Team…": ":" stands in its name',
    ]);
  });

  it("tell a key that is written together with its value", () => {
    const reading = load({ yaml: "auth: {bearer_token:hush}" });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:1:8: error: unknown key "bearer_token…" (between a key and its value stand a colon and a blank)',
    ]);
  });

  it("are told all at once, with line, column and what was meant", () => {
    const reading = load({
      yaml: [
        "listen_prot: 2803",
        "log_format: xml",
        "deduplication:",
        "  time_window_second: 5",
        "otel: true",
        "notifiers:",
        "  webhok: {url: https://example.org}",
        "  webhook: {url: nowhere}",
        "concurrency: 0",
      ].join("\n"),
    });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:1:1: error: unknown key "listen_prot" (did you mean "listen_port"?)',
      'config.yaml:2:13: error: "log_format" must be one of text, color, json',
      'config.yaml:4:3: error: unknown key "time_window_second" (did you mean "time_window_seconds"?)',
      'config.yaml:5:7: error: "otel" must be a map of keys and values',
      'config.yaml:7:3: error: unknown key "webhok" (did you mean "webhook"?)',
      'config.yaml:8:18: error: "url" must be a URL',
      'config.yaml:9:14: error: "concurrency" must be at least 1, not 0',
    ]);
  });

  it.each([
    ["a list", "- listen_port\n", "config.yaml:1:1: error: the configuration must be a map of keys and values"],
    [
      "notifiers as a list",
      "notifiers: [a]\n",
      'config.yaml:1:12: error: "notifiers" must be a map of keys and values',
    ],
    [
      "a key given twice",
      "log_level: info\nlog_level: warn\n",
      'config.yaml:2:1: error: key "log_level" is given twice',
    ],
    [
      "a certificate alone",
      "tls: {cert_file: /c}\n",
      "config.yaml:1:7: error: tls.cert_file needs tls.key_file beside it",
    ],
    [
      "a user alone",
      "auth: {basic_user: u}\n",
      "config.yaml:1:8: error: auth.basic_user needs auth.basic_password beside it",
    ],
    [
      "a path secret that would have to be encoded",
      "auth: {path_secret: a/b}\n",
      'config.yaml:1:8: error: "path_secret" must be of the form ^[A-Za-z0-9._~-]+$',
    ],
    [
      "a key id alone",
      "aws: {access_key: a}\n",
      "config.yaml:1:7: error: aws.access_key needs aws.secret_key beside it",
    ],
    [
      "an external id alone",
      "aws: {external_id: a}\n",
      "config.yaml:1:7: error: aws.external_id needs aws.role_arn beside it",
    ],
    [
      "a MinIO without a secret key",
      "minio: {endpoint: 'minio:9000', access_key: a}\n",
      "config.yaml:1:9: error: minio.endpoint needs minio.secret_key beside it",
    ],
    [
      "a MinIO by its URL",
      "minio: {endpoint: 'http://minio:9000', access_key: a, secret_key: s}\n",
      'config.yaml:1:19: error: "endpoint" must be of the form ^[A-Za-z0-9.:_\\[\\]-]+$',
    ],
  ])("tell %s", (_case, yaml, told) => {
    const reading = load({ yaml, files: { "/c": "x" } });

    expect(problemsOf(reading)).toEqual([told]);
  });

  it("tell a certificate that cannot be read", () => {
    const reading = load({ yaml: "tls: {cert_file: /c, key_file: /k}\n", files: { "/c": "x" } });

    expect(problemsOf(reading)).toEqual(["config.yaml:1:32: error: the file cannot be read: it does not exist"]);
  });

  it("tell a file that is not there", () => {
    const reading = loadConfig({ path: "/nowhere.yaml", env: {}, readFile: filesOf({}), catalogue: sampleCatalogue() });

    expect(problemsOf(reading)).toEqual(["/nowhere.yaml: error: the file cannot be read: it does not exist"]);
  });

  it.each([
    ["EISDIR", "it is a directory"],
    ["ERR_ENCODING_INVALID_ENCODED_DATA", "it is not UTF-8 text"],
    ["EMFILE", "EMFILE"],
  ])("tell why a file cannot be read, in words where there are any: %s", (code, words) => {
    const readFile = () => {
      throw Object.assign(new Error("no"), { code });
    };

    const reading = loadConfig({ path: "/c.yaml", env: {}, readFile, catalogue: sampleCatalogue() });

    expect(problemsOf(reading)).toEqual([`/c.yaml: error: the file cannot be read: ${words}`]);
  });
});

describe("what a notifier says of its settings", () => {
  it("is a Problem where the setting stands, with all others", () => {
    const reading = load({
      catalogue: realCatalogue,
      yaml: [
        "notifiers:",
        "  slack:",
        "    webhook_url: https://example.org/t",
        "    template: |",
        "      {{ event.rule }}",
        "      {{ evnt.rule }}",
        "  smtp: {host_port: 'h:25', from: hallux@example.org, to: 'sam@example.org, bob', user: u}",
        "  webhook: {url: 'https://example.org'}",
      ].join("\n"),
      files: { "body.liquid": "{% include 'x' %}" },
      env: { NOTIFIERS_WEBHOOK_TEMPLATE_FILE: "body.liquid" },
    });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:4:15: error: "template" is not a template that can be used: there is no variable "evnt.rule" (did you mean "event.rule"?)',
      'config.yaml:7:59: error: "to" must be mail addresses, separated by commas; number 2 is none',
      'config.yaml:7:89: error: "user" needs "password" beside it',
      'environment: NOTIFIERS_WEBHOOK_TEMPLATE_FILE: error: "template" is not a template that can be used: tag "include" not found, line:1, col:1',
    ]);
  });

  it("is not asked of settings that nobody gave, or that lack a required one", () => {
    const reading = load({ catalogue: realCatalogue, yaml: "notifiers: {smtp: {to: bob}}\n" });

    expect(problemsOf(reading)).toEqual([]);
  });
});

describe("default_notifiers", () => {
  it("are Problems where they are unknown or lack a setting", () => {
    const reading = load({ yaml: "default_notifiers: [k8sevents, k8sevent, pager, webhook]\n" });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:1:32: error: "default_notifiers[1]" is no known notifier (did you mean "k8sevents"?)',
      'config.yaml:1:42: error: "default_notifiers[2]" is no known notifier (known: k8sevents, webhook)',
      'config.yaml:1:49: error: notifier "webhook" needs notifiers.webhook.url',
    ]);
  });

  it("may come from the environment", () => {
    const reading = load({ env: { DEFAULT_NOTIFIERS: "k8sevents,teams" } });

    expect(problemsOf(reading)).toEqual([
      'environment: DEFAULT_NOTIFIERS: error: "default_notifiers[1]" is no known notifier (known: k8sevents, webhook)',
    ]);
  });

  it("are told once where their settings are wrong", () => {
    const reading = load({ yaml: "default_notifiers: [webhook]\nnotifiers: {webhook: {url: nowhere}}\n" });

    expect(problemsOf(reading)).toEqual(['config.yaml:2:28: error: "url" must be a URL']);
  });
});

describe("otel.collector_endpoint", () => {
  it.each(["otel-collector.monitoring", "10.0.0.1", "::1", "[fd00::1]", "::ffff:10.0.0.1"])("may be %s", (host) => {
    const reading = load({ env: { OTEL_COLLECTOR_ENDPOINT: host } });

    expect(configOf(reading).otel.collector_endpoint).toBe(host);
  });

  it.each(["collector:4317", "http://collector"])("is a host alone, not %s", (host) => {
    const reading = load({ env: { OTEL_COLLECTOR_ENDPOINT: host } });

    expect(problemsOf(reading)).toEqual([expect.stringContaining('"collector_endpoint" must be')]);
  });
});

describe("sections in sections", () => {
  it("are read from the file and the environment, and have their defaults beside what is given", () => {
    const reading = load({
      yaml: "ledger: {path: /data, retention: {age_hours: 24}, nats: {password: hush, user: u}}",
      env: { LEDGER_NATS_SERVERS: "nats://a:4222,nats://b:4222", LEDGER_DRIVER: "nats" },
    });

    expect(configOf(reading).ledger).toMatchObject({
      driver: "nats",
      path: "/data",
      retention: { age_hours: 24, bytes: 1_073_741_824 },
      nats: { servers: ["nats://a:4222", "nats://b:4222"], user: "u", prefix: "hallux", replicas: 1 },
    });
    expect(configOf(reading).ledger.nats.password).toBeInstanceOf(Secret);
  });

  it("have defaults where nothing is given", () => {
    expect(configOf(load({})).ledger).toMatchObject({
      driver: "sqlite",
      backlog_bytes: 134_217_728,
      retention: { age_hours: 168, bytes: 1_073_741_824 },
      nats: { servers: ["nats://127.0.0.1:4222"] },
    });
  });

  it("are told where a key in them is unknown or wrong", () => {
    const reading = load({
      yaml: "ledger:\n  retentoin: {}\n  retention: {age_hour: 1, bytes: 1}\n  nats: {user: u}\n",
    });

    expect(problemsOf(reading)).toEqual([
      'config.yaml:2:3: error: unknown key "retentoin" (did you mean "retention"?)',
      'config.yaml:3:15: error: unknown key "age_hour" (did you mean "age_hours"?)',
      expect.stringContaining('"bytes" must be at least 16777216, not 1'),
      expect.stringContaining("ledger.nats.user needs ledger.nats.password beside it"),
    ]);
  });
});

function load({
  yaml,
  env = {},
  files = {},
  catalogue = sampleCatalogue(),
}: {
  readonly yaml?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly catalogue?: Catalogue;
}): ConfigReading {
  const path = yaml === undefined ? undefined : "config.yaml";
  const readFile = filesOf({ ...files, ...(yaml !== undefined && { "config.yaml": yaml }) });
  return loadConfig({ path, env, readFile, catalogue });
}

function filesOf(files: Readonly<Record<string, string>>): (path: string) => string {
  return (path) => {
    const content = files[path];
    if (content === undefined) {
      throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: "ENOENT" });
    }
    return content;
  };
}

function configOf(reading: ConfigReading): Config {
  if (reading.config === undefined) {
    throw new Error(problemsOf(reading).join("\n"));
  }
  return reading.config;
}

function problemsOf({ problems }: ConfigReading): readonly string[] {
  return problems.map(describeProblem);
}
