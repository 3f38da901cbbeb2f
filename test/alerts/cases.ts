/** What the alerts are tried on: a minute between samples, in the notation of promtool (`1x9` is ten times 1). */
export interface Case {
  /** The names of series, without what the target adds: a replica is a pod, `a` unless it says otherwise. */
  readonly series: Readonly<Record<string, string>>;
  readonly at: string;
}

/** What an alert says, without the target's labels that it always has. */
export interface Says {
  readonly labels?: Readonly<Record<string, string>>;
  readonly description: string;
}

export interface Fires extends Case {
  readonly says: Says;
}

export interface Cases {
  readonly fires: Readonly<Record<string, Fires>>;
  readonly silent: Readonly<Record<string, Case>>;
}

const replicaA = { pod: "a", instance: "a:2803" };
const rule = { rule: "Shell", actionner: "kubernetes:label" };
const ofRule = 'rule="Shell",actionner="kubernetes:label"';

/** A first time, a rise of what was there, a first time of one replica after another's; and silence. */
function counted(series: string, says: Says): Pick<Cases, "fires"> & { readonly silent: Cases["silent"] } {
  const onB = series.replace("{", '{pod="b",');
  return {
    fires: {
      "it is counted for the first time": { series: { [series]: "_x4 1x20" }, at: "6m", says },
      "it is counted again": { series: { [series]: "3x120 4x20" }, at: "125m", says },
      "it is counted for the first time on another replica": {
        series: { [series]: "1x200", [onB]: "_x149 1x20" },
        at: "152m",
        says,
      },
      "it is counted for the first time since a restart": {
        series: { process_start_time_seconds: "1x29 1800x90", [series]: "1x29 stale _x29 1x60" },
        at: "62m",
        says,
      },
    },
    silent: {
      "the last time is long ago": { series: { [series]: "0x10 5x200" }, at: "100m" },
      "a quarter of an hour before it could not be scraped once": {
        series: { process_start_time_seconds: "1x100 stale 1x100", [series]: "5x100 stale 5x100" },
        at: "116m",
      },
    },
  };
}

const failure = counted(`hallux_actions_total{${ofRule},status="failure",code="timeout"}`, {
  labels: { ...rule, code: "timeout" },
  description: "kubernetes:label of rule Shell fails: timeout.",
});
const forbidden = counted(`hallux_actions_total{${ofRule},status="failure",code="forbidden"}`, {
  labels: rule,
  description: "kubernetes:label of rule Shell is forbidden, and will be the next time.",
});
const refused = counted(`hallux_actions_total{${ofRule},status="refused"}`, {
  labels: { ...rule, status: "refused" },
  description: "kubernetes:label of rule Shell: refused.",
});
const notification = counted('hallux_notifications_total{notifier="slack",result="dropped"}', {
  labels: { notifier: "slack", result: "dropped" },
  description: "slack: dropped.",
});

export const cases: Readonly<Record<string, Cases>> = {
  HalluxDown: {
    fires: {
      "it cannot be scraped any more": {
        series: { 'hallux_build_info{version="1"}': "1x4 stale" },
        at: "9m",
        says: { description: "Nobody answers to Falco's events, and Falcosidekick does not send them again." },
      },
      "it has never been": {
        series: {},
        at: "9m",
        says: { description: "Nobody answers to Falco's events, and Falcosidekick does not send them again." },
      },
    },
    silent: {
      "it was replaced within two minutes": {
        series: { 'hallux_build_info{version="1"}': "1x4 stale", 'hallux_build_info{pod="b",version="2"}': "_x6 1x9" },
        at: "10m",
      },
      "one of two can be": {
        series: { 'hallux_build_info{version="1"}': "1x4 stale", 'hallux_build_info{pod="b",version="1"}': "1x20" },
        at: "15m",
      },
    },
  },
  HalluxReplicaUnavailable: {
    fires: {
      "one of two cannot be scraped": {
        series: { up: "0x20", 'hallux_ready{pod="b"}': "1x20" },
        at: "15m",
        says: { labels: replicaA, description: "a:2803 a takes no events." },
      },
      "one of two is not ready": {
        series: { up: "1x20", hallux_ready: "0x20", 'hallux_ready{pod="b"}': "1x20" },
        at: "15m",
        says: { labels: replicaA, description: "a:2803 a takes no events." },
      },
    },
    silent: {
      "none is ready, which is another alert": {
        series: { hallux_ready: "0x20", 'hallux_ready{pod="b"}': "0x20" },
        at: "15m",
      },
      "it takes a few minutes": { series: { hallux_ready: "1x5 0x5 1x9", 'hallux_ready{pod="b"}': "1x20" }, at: "15m" },
    },
  },
  HalluxNotReady: {
    fires: {
      "no replica is": {
        series: { hallux_ready: "0x9", 'hallux_ready{pod="b"}': "0x9", hallux_ledger_available: "1x9" },
        at: "5m",
        says: { description: "Its Service sends it no events. /readyz says why." },
      },
    },
    silent: {
      "one of two is": { series: { hallux_ready: "0x9", 'hallux_ready{pod="b"}': "1x9" }, at: "5m" },
      "it is the ledger, which is another alert": {
        series: { hallux_ready: "0x9", hallux_ledger_available: "0x9" },
        at: "5m",
      },
      "it has just started": { series: { hallux_ready: "0 1x9" }, at: "3m" },
    },
  },
  HalluxLedgerUnavailable: {
    fires: {
      "no replica has it": {
        series: { hallux_ledger_available: "1x3 0x9" },
        at: "6m",
        says: { description: "Events are answered 503 and lost. /readyz says why." },
      },
    },
    silent: {
      "one of two has it": {
        series: { hallux_ledger_available: "0x9", 'hallux_ledger_available{pod="b"}': "1x9" },
        at: "6m",
      },
    },
  },
  HalluxRestarts: {
    fires: {
      "it started three times more": {
        series: { process_start_time_seconds: "0x3 240x3 480x3 720x9" },
        at: "15m",
        says: { labels: replicaA, description: "a:2803 a has restarted 3 times in half an hour." },
      },
    },
    silent: {
      "it started once more": { series: { process_start_time_seconds: "0x3 240x20" }, at: "15m" },
      "new pods took its place": {
        series: {
          process_start_time_seconds: "0x3 stale",
          'process_start_time_seconds{pod="b"}': "_x4 240x3 stale",
          'process_start_time_seconds{pod="c"}': "_x8 480x3 stale",
          'process_start_time_seconds{pod="d"}': "_x12 720x9",
        },
        at: "15m",
      },
    },
  },
  HalluxRefusesEvents: {
    fires: {
      "it answers 503": {
        series: { 'hallux_events_refused_total{reason="unavailable"}': "0x4 6x9" },
        at: "7m",
        says: { description: "About 6 events were lost within five minutes." },
      },
    },
    silent: {
      "it answers 400": { series: { 'hallux_events_refused_total{reason="not_json"}': "0x4 6x9" }, at: "7m" },
      "it did so ten minutes ago": {
        series: { 'hallux_events_refused_total{reason="unavailable"}': "0x4 6x20" },
        at: "15m",
      },
    },
  },
  HalluxBacklogNearLimit: {
    fires: {
      "five sixths are taken": {
        series: {
          hallux_ledger_backlog_bytes: "90x9",
          hallux_ledger_backlog_limit_bytes: "100x9",
          'hallux_ledger_backlog_limit_bytes{pod="b"}': "100x9",
        },
        at: "5m",
        says: { description: "90% of ledger.backlog_bytes wait; at 100 % events are refused." },
      },
    },
    silent: {
      "half is taken": {
        series: { hallux_ledger_backlog_bytes: "50x9", hallux_ledger_backlog_limit_bytes: "100x9" },
        at: "5m",
      },
    },
  },
  HalluxFallsBehind: {
    fires: {
      "one has waited for 90 seconds": {
        series: { hallux_ledger_backlog_waiting_seconds: "90x9" },
        at: "8m",
        says: { description: "The oldest on which nothing runs was accepted 1m 30s ago." },
      },
      "one waits behind a capture of two minutes": {
        series: {
          hallux_ledger_backlog_oldest_seconds: "60+60x9",
          hallux_ledger_backlog_waiting_seconds: "30+60x9",
          'hallux_actions_running{actionner="kubernetes:tcpdump"}': "1x9",
        },
        at: "8m",
        says: { description: "The oldest on which nothing runs was accepted 8m 30s ago." },
      },
    },
    silent: {
      "each waits for half a minute": { series: { hallux_ledger_backlog_waiting_seconds: "30x9" }, at: "8m" },
      "it did for three minutes": { series: { hallux_ledger_backlog_waiting_seconds: "90x3 0x9" }, at: "8m" },
      "captures of minutes run, and others come and go": {
        series: {
          hallux_ledger_backlog_events: "4x9",
          hallux_ledger_backlog_oldest_seconds: "90+10x9",
          hallux_ledger_backlog_waiting_seconds: "1x9",
          'hallux_actions_running{actionner="kubernetes:tcpdump"}': "2x9",
        },
        at: "8m",
      },
    },
  },
  HalluxRespondsLate: {
    fires: {
      "all wait for five to ten seconds": {
        series: histogram("hallux_response_delay_seconds", { 5: "0x30", 10: "0+10x30", "+Inf": "0+10x30" }),
        at: "25m",
        says: { description: "One in a hundred events waits 9.95s or longer for its first action." },
      },
    },
    silent: {
      "they begin within five": {
        series: histogram("hallux_response_delay_seconds", { 5: "0+10x30", 10: "0+10x30", "+Inf": "0+10x30" }),
        at: "25m",
      },
      "one did not": {
        series: histogram("hallux_response_delay_seconds", { 5: "0x30", 10: "0x5 1x25", "+Inf": "0x5 1x25" }),
        at: "15m",
      },
      "there are none": {
        series: histogram("hallux_response_delay_seconds", { 5: "7x30", 10: "9x30", "+Inf": "9x30" }),
        at: "25m",
      },
    },
  },
  HalluxAcceptsSlowly: {
    fires: {
      "all take one to two and a half seconds": {
        series: histogram("hallux_accept_duration_seconds", { 1: "0x30", 2.5: "0+10x30", "+Inf": "0+10x30" }),
        at: "25m",
        says: { description: "One in a hundred events takes 2.485s or longer to become durable." },
      },
    },
    silent: {
      "they take a second": {
        series: histogram("hallux_accept_duration_seconds", { 1: "0+10x30", 2.5: "0+10x30", "+Inf": "0+10x30" }),
        at: "25m",
      },
    },
  },
  HalluxActionsAtLimit: {
    fires: {
      "two actionners take nearly all": {
        series: {
          'hallux_actions_running{actionner="kubernetes:label"}': "200x20",
          'hallux_actions_running{actionner="aws:lambda"}': "40x20",
          hallux_actions_limit: "256x20",
        },
        at: "15m",
        says: { labels: replicaA, description: "a:2803 a is at 93.75% of `concurrency`." },
      },
    },
    silent: {
      "two replicas take half each": {
        series: {
          'hallux_actions_running{actionner="kubernetes:label"}': "128x20",
          'hallux_actions_running{pod="b",actionner="kubernetes:label"}': "128x20",
          hallux_actions_limit: "256x20",
          'hallux_actions_limit{pod="b"}': "256x20",
        },
        at: "15m",
      },
    },
  },
  HalluxConnectionsNearLimit: {
    fires: {
      "nine tenths are open": {
        series: { hallux_connections: "900x9", hallux_connections_limit: "1000x9" },
        at: "8m",
        says: { labels: replicaA, description: "a:2803 a is at 90% of `max_connections`." },
      },
    },
    silent: {
      "half are open": { series: { hallux_connections: "500x9", hallux_connections_limit: "1000x9" }, at: "8m" },
    },
  },
  HalluxActionsFail: {
    fires: failure.fires,
    silent: {
      ...failure.silent,
      "it was forbidden, which is another alert": {
        series: { [`hallux_actions_total{${ofRule},status="failure",code="forbidden"}`]: "_x4 1x20" },
        at: "6m",
      },
      "it succeeded": { series: { [`hallux_actions_total{${ofRule},status="success"}`]: "_x4 1x20" }, at: "6m" },
    },
  },
  HalluxActionsForbidden: {
    fires: forbidden.fires,
    silent: {
      ...forbidden.silent,
      "it failed otherwise": {
        series: { [`hallux_actions_total{${ofRule},status="failure",code="timeout"}`]: "_x4 1x20" },
        at: "6m",
      },
      "a dry run found that it would be": {
        series: { [`hallux_actions_total{${ofRule},status="dry_run",code="forbidden"}`]: "_x4 1x20" },
        at: "6m",
      },
    },
  },
  HalluxActionsRefused: {
    fires: refused.fires,
    silent: {
      ...refused.silent,
      "it was ignored": { series: { [`hallux_actions_total{${ofRule},status="ignored"}`]: "_x4 1x20" }, at: "6m" },
    },
  },
  HalluxPermissionsMissing: {
    fires: {
      "two are": {
        series: { hallux_permissions_missing: "2x9" },
        at: "8m",
        says: { description: "2 are missing: actions that need them will fail." },
      },
    },
    silent: { "none is": { series: { hallux_permissions_missing: "0x9" }, at: "8m" } },
  },
  HalluxNotificationsFail: {
    fires: notification.fires,
    silent: {
      ...notification.silent,
      "they are delivered": {
        series: { 'hallux_notifications_total{notifier="slack",result="success"}': "0x4 1x20" },
        at: "6m",
      },
    },
  },
  HalluxUnauthorizedSender: {
    fires: {
      "one event came without proof": {
        series: { 'hallux_events_refused_total{reason="unauthorized"}': "0x4 1x20" },
        at: "7m",
        says: { description: "Falco with a wrong secret, whose events are lost, or somebody who should not send any." },
      },
    },
    silent: {
      "it was refused otherwise": {
        series: { 'hallux_events_refused_total{reason="not_json"}': "0x4 1x20" },
        at: "7m",
      },
    },
  },
  HalluxUnauthorizedReader: {
    fires: {
      "one had no token": {
        series: { 'hallux_api_requests_total{status="401"}': "0x4 1x20" },
        at: "7m",
        says: { description: "Somebody with an old token, or somebody who should not know what Hallux does." },
      },
    },
    silent: {
      "one had it": { series: { 'hallux_api_requests_total{status="200"}': "0x4 1x20" }, at: "7m" },
    },
  },
  HalluxRejectsEvents: {
    fires: {
      "one was not JSON": {
        series: { 'hallux_events_refused_total{reason="not_json"}': "0x4 1x20" },
        at: "7m",
        says: {
          labels: { reason: "not_json" },
          description: "Requests were answered 4xx: not_json. If Falco sent them, they are lost.",
        },
      },
    },
    silent: {
      "the sender left, a browser came, proof lacked, the ledger was full": {
        series: {
          'hallux_events_refused_total{reason="aborted"}': "0x4 1x20",
          'hallux_events_refused_total{reason="method_not_allowed"}': "0x4 1x20",
          'hallux_events_refused_total{reason="unauthorized"}': "0x4 1x20",
          'hallux_events_refused_total{reason="unavailable"}': "0x4 1x20",
        },
        at: "7m",
      },
    },
  },
  HalluxResponsesResumed: {
    fires: {
      "a new pod went on with four": {
        series: {
          hallux_responses_resumed_total: "9x100 stale",
          'hallux_responses_resumed_total{pod="b"}': "_x101 4x20",
        },
        at: "105m",
        says: { description: "About 4 had been left unfinished." },
      },
    },
    silent: {
      "a new pod found none": {
        series: {
          hallux_responses_resumed_total: "9x100 stale",
          'hallux_responses_resumed_total{pod="b"}': "_x101 0x20",
        },
        at: "105m",
      },
    },
  },
  HalluxReloadFailed: {
    fires: {
      "one of two replicas could not": {
        series: {
          hallux_config_last_reload_successful: "1x9",
          'hallux_config_last_reload_successful{pod="b"}': "1x3 0x9",
        },
        at: "6m",
        says: { description: "Hallux goes on with what it had. Its log names file, line and column." },
      },
    },
    silent: { "it was corrected": { series: { hallux_config_last_reload_successful: "1x3 0 1x9" }, at: "6m" } },
  },
  HalluxConfigurationsDiffer: {
    fires: {
      "two replicas have different ones": {
        series: { 'hallux_config_info{hash="x"}': "1x30", 'hallux_config_info{pod="b",hash="y"}': "1x30" },
        at: "20m",
        says: {
          description: "2 are in force side by side: what is done depends on which replica takes an event.",
        },
      },
    },
    silent: {
      "they are the same": {
        series: { 'hallux_config_info{hash="x"}': "1x30", 'hallux_config_info{pod="b",hash="x"}': "1x30" },
        at: "20m",
      },
      "a rollout takes ten minutes": {
        series: { 'hallux_config_info{hash="x"}': "1x9 stale", 'hallux_config_info{pod="b",hash="y"}': "1x30" },
        at: "20m",
      },
    },
  },
  HalluxNoEvents: {
    fires: {
      "none came since yesterday": {
        series: { hallux_events_accepted_total: "5x1500" },
        at: "1460m",
        says: { description: "A quiet day, or Falco no longer reaches Hallux." },
      },
    },
    silent: {
      "one came twenty hours ago": { series: { hallux_events_accepted_total: "5x260 6x1300" }, at: "1460m" },
      "it was installed an hour ago": { series: { hallux_events_accepted_total: "0x60" }, at: "60m" },
    },
  },
  HalluxNothingMatches: {
    fires: {
      "hundreds came for no rule": {
        series: { hallux_events_accepted_total: "0+1x200" },
        at: "150m",
        says: { description: "The rules may name Falco rules, or fields, that this Falco does not have." },
      },
    },
    silent: {
      "one of them matched, for the first time": {
        series: { hallux_events_accepted_total: "0+1x200", 'hallux_rule_matches_total{rule="Shell"}': "_x99 1x100" },
        at: "150m",
      },
      "a few came": { series: { hallux_events_accepted_total: "0x10 9x190" }, at: "150m" },
    },
  },
};

function histogram(name: string, buckets: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(buckets).map(([le, values]) => [`${name}_bucket{le="${le}"}`, values]));
}
