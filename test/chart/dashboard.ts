/** The Grafana dashboard that the chart ships: what Hallux measures, in the order in which one asks. */

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: Area;
  readonly targets?: readonly Target[];
  readonly [setting: string]: unknown;
}

export interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly [setting: string]: unknown;
}

export interface Dashboard {
  readonly panels: readonly Panel[];
  readonly [setting: string]: unknown;
}

export function dashboard(): Dashboard {
  return {
    uid: "hallux-overview",
    title: "Hallux",
    description: "Response engine for Falco: is it up, does it keep up, what did it do, what failed",
    tags: ["falco", "security"],
    schemaVersion: 41,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-6h", to: "now" },
    timezone: "browser",
    links: [],
    annotations: { list: [restarts()] },
    templating: { list: variables() },
    panels: placed([
      { title: "Is it up?", tiles: up },
      { title: "Does it keep up?", tiles: pace },
      { title: "What did it do?", tiles: deeds },
      { title: "What failed?", tiles: failures },
      { title: "What does it use?", tiles: resources },
    ]),
  };
}

const source = { type: "prometheus", uid: "$datasource" };
const selector = 'namespace=~"$namespace",job=~"$job",pod=~"$pod"';

interface Query {
  readonly expr: string;
  readonly legend: string;
  readonly exemplar?: boolean;
}

/** A panel without its place. */
interface Tile {
  readonly type: "stat" | "timeseries" | "table";
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  readonly width: number;
  readonly height: number;
  readonly queries: readonly Query[];
  readonly settings: Settings;
}

interface Settings {
  /** Of `fieldConfig.defaults`. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly transformations?: readonly unknown[];
}

interface Area {
  readonly h: number;
  readonly w: number;
  readonly x: number;
  readonly y: number;
}

const up: readonly Tile[] = [
  stat("Replicas ready", "Replicas that take events: `/readyz` says yes", {
    expr: `sum(${of("hallux_ready")})`,
    defaults: thresholds(["red", "green"], [1]),
  }),
  stat("Ledger", "Whether any replica can make events durable; without it they are answered 503", {
    expr: `max(${of("hallux_ledger_available")})`,
    defaults: words({ 0: "down", 1: "up" }),
  }),
  stat("Last reload", "Whether the rules and the configuration that were last read are in force in all replicas", {
    expr: `min(${of("hallux_config_last_reload_successful")})`,
    defaults: words({ 0: "failed", 1: "loaded" }),
  }),
  stat("In force since", "Time since the rules and the configuration were last loaded", {
    expr: `time() - min(${of("hallux_config_last_reload_success_timestamp_seconds")})`,
    unit: "s",
  }),
  stat(
    "Configurations",
    "Different rules and configurations in force side by side: more than one is a rollout, or a fault",
    {
      expr: `count(count by (hash) (${of("hallux_config_info")}))`,
      defaults: thresholds(["green", "orange"], [2]),
    },
  ),
  stat("Permissions missing", "Kubernetes permissions that the rules need and Hallux does not have", {
    expr: `max(${of("hallux_permissions_missing")})`,
    defaults: thresholds(["green", "red"], [1]),
  }),
  stat("Running since", "Time since the replica that started last did so", {
    expr: `time() - max(${of("process_start_time_seconds")})`,
    unit: "s",
  }),
  stat("Version", "Versions of Hallux that run, and in how many replicas", {
    expr: `count by (version) (${of("hallux_build_info")})`,
    legend: "{{version}}",
    options: { textMode: "value_and_name" },
  }),
];

const pace: readonly Tile[] = [
  series(
    "Events",
    "Events each second: accepted, repeated, and those that no rule matched; requests are Falco's",
    "cps",
    [
      { expr: rate("hallux_events_accepted_total"), legend: "accepted" },
      { expr: rate("hallux_events_duplicate_total"), legend: "duplicate" },
      { expr: rate("hallux_events_unmatched_total"), legend: "unmatched" },
      { expr: rate("hallux_event_time_replaced_total"), legend: "without a usable time" },
    ],
  ),
  series("Backlog", "Events accepted and not yet finished", "short", [
    { expr: `max(${of("hallux_ledger_backlog_events")})`, legend: "events" },
  ]),
  series("Backlog against its limit", "Beyond `ledger.backlog_bytes` senders are answered 503", "bytes", [
    { expr: `max(${of("hallux_ledger_backlog_bytes")})`, legend: "waiting" },
    { expr: `max(${of("hallux_ledger_backlog_limit_bytes")})`, legend: "limit" },
  ]),
  series(
    "Oldest event",
    "Time since the oldest event that is not finished was accepted, and the oldest on which no action runs",
    "s",
    [
      { expr: `max(${of("hallux_ledger_backlog_oldest_seconds")})`, legend: "not finished" },
      { expr: `max(${of("hallux_ledger_backlog_waiting_seconds")})`, legend: "waiting" },
    ],
  ),
  series(
    "Time to accept",
    "From the whole request to the durable event, half and 99 % of them",
    "s",
    quantiles("hallux_accept_duration_seconds"),
  ),
  series(
    "Delay of responses",
    "From the accepted event to its first action, half and 99 % of them",
    "s",
    quantiles("hallux_response_delay_seconds"),
  ),
  series(
    "Length of responses",
    "From the accepted event to the end of its last action, half and 99 % of them",
    "s",
    quantiles("hallux_response_duration_seconds"),
  ),
  series("Time of actions", "With their retries, 99 % of them, by actionner", "s", [
    { expr: quantile(0.99, "hallux_action_duration_seconds", "actionner"), legend: "{{actionner}}", exemplar: true },
  ]),
  series("Actions running", "Of all replicas, by actionner, and as many as there may be (`concurrency`)", "short", [
    { expr: `sum by (actionner) (${of("hallux_actions_running")})`, legend: "{{actionner}}" },
    { expr: `sum(${of("hallux_actions_limit")})`, legend: "limit" },
  ]),
  series(
    "Notifications waiting",
    "Of all replicas, by notifier; beyond 1000 in one of them they are dropped",
    "short",
    [{ expr: `sum by (notifier) (${of("hallux_notifications_waiting")})`, legend: "{{notifier}}" }],
  ),
  series("Time of notifications", "99 % of them, by notifier", "s", [
    {
      expr: quantile(0.99, "hallux_notification_duration_seconds", "notifier"),
      legend: "{{notifier}}",
      exemplar: true,
    },
  ]),
  series("Connections", "Open to each replica, and as many as there may be (`max_connections`)", "short", [
    { expr: of("hallux_connections"), legend: "{{pod}} {{instance}}" },
    { expr: `min(${of("hallux_connections_limit")})`, legend: "limit" },
  ]),
];

const deeds: readonly Tile[] = [
  bars("Actions by outcome", "Actions that ended, by status", [
    { expr: grown("hallux_actions_total", "status"), legend: "{{status}}" },
  ]),
  bars("Actions by actionner", "Actions that succeeded, by actionner", [
    { expr: grown("hallux_actions_total", "actionner", 'status="success"'), legend: "{{actionner}}" },
  ]),
  bars("Rules that matched", "Events that matched, by rule", [
    { expr: grown("hallux_rule_matches_total", "rule"), legend: "{{rule}}" },
  ]),
  bars("Dry runs", "Actions that would have run, by rule; with a code they would have failed", [
    { expr: grown("hallux_actions_total", "rule, code", 'status="dry_run"'), legend: "{{rule}} {{code}}" },
  ]),
  {
    type: "table",
    title: "All actions",
    description: "Actions that ended in the time shown, by rule, actionner, status and code",
    unit: "short",
    width: 24,
    height: 9,
    queries: [{ expr: grown("hallux_actions_total", "rule, actionner, status, code", "", "$__range"), legend: "" }],
    settings: {
      options: { sortBy: [{ displayName: "Actions", desc: true }] },
      defaults: { decimals: 0 },
      transformations: [
        { id: "organize", options: { excludeByName: { Time: true }, renameByName: { Value: "Actions" } } },
      ],
    },
  },
];

const failures: readonly Tile[] = [
  bars("Actions that failed", "Actions given up, by actionner and code", [
    {
      expr: grown("hallux_actions_total", "actionner, code", 'status="failure"'),
      legend: "{{actionner}} {{code}}",
    },
  ]),
  bars("Attempts that failed", "Attempts that were followed by another, by actionner and code", [
    { expr: grown("hallux_action_retries_total", "actionner, code"), legend: "{{actionner}} {{code}}" },
  ]),
  bars("Notifications", "Notifications by notifier and result", [
    { expr: grown("hallux_notifications_total", "notifier, result"), legend: "{{notifier}} {{result}}" },
  ]),
  bars("Requests refused", "Requests of senders answered 4xx or 5xx, by reason", [
    { expr: `${grown("hallux_events_refused_total", "reason")} > 0`, legend: "{{reason}}" },
  ]),
  bars("Responses resumed", "Responses that went on after a restart or on another replica", [
    { expr: grown("hallux_responses_resumed_total", ""), legend: "resumed" },
  ]),
  bars("Requests of the read API", "Requests below `/api/`, by the status of the answer", [
    { expr: `${grown("hallux_api_requests_total", "status")} > 0`, legend: "{{status}}" },
  ]),
  bars("Spans dropped", "Spans of traces that the collector did not take, or for which there was no room", [
    { expr: grown("hallux_spans_dropped_total", ""), legend: "dropped" },
  ]),
];

const resources: readonly Tile[] = [
  series("CPU", "Cores used, by replica", "short", [
    { expr: `rate(${of("process_cpu_seconds_total")}[$__rate_interval])`, legend: "{{pod}} {{instance}}" },
  ]),
  series("Memory", "Resident memory, by replica", "bytes", [
    { expr: of("process_resident_memory_bytes"), legend: "{{pod}} {{instance}}" },
  ]),
  series("Size of the ledger", "Events that wait, and what has ended", "bytes", [
    { expr: `max(${of("hallux_ledger_size_bytes")})`, legend: "size" },
  ]),
];

function of(metric: string, more = ""): string {
  return `${metric}{${selector}${more && `,${more}`}}`;
}

function rate(metric: string): string {
  return `sum(rate(${of(metric)}[$__rate_interval]))`;
}

/** Counters with labels begin with 1, which `increase` alone does not see: all of a series that is new counts, as in the alerts. */
function grown(metric: string, by: string, more = "", window = "$__rate_interval"): string {
  const one = of(metric, more);
  const notScraped = `unless on (namespace, job, instance) ${of("process_start_time_seconds")} offset ${window}`;
  const before = `${one} offset ${window} or last_over_time(${one}[1h] offset ${window}) ${notScraped}`;
  const rise = `${one} unless (${before}) or increase(${one}[${window}])`;
  return by === "" ? `sum(${rise})` : `sum by (${by}) (${rise})`;
}

function quantile(q: number, metric: string, by = ""): string {
  const labels = by === "" ? "le" : `le, ${by}`;
  return `histogram_quantile(${q}, sum by (${labels}) (rate(${of(`${metric}_bucket`)}[$__rate_interval])))`;
}

function quantiles(metric: string): readonly Query[] {
  return [
    { expr: quantile(0.5, metric), legend: "p50" },
    { expr: quantile(0.99, metric), legend: "p99", exemplar: true },
  ];
}

interface Figure extends Settings {
  readonly expr: string;
  readonly legend?: string;
  readonly unit?: string;
}

function stat(title: string, description: string, { expr, legend = "", unit = "short", ...settings }: Figure): Tile {
  return { type: "stat", title, description, unit, width: 3, height: 4, queries: [{ expr, legend }], settings };
}

function series(title: string, description: string, unit: string, queries: readonly Query[]): Tile {
  const defaults = { min: 0, custom: { fillOpacity: 8, showPoints: "never", spanNulls: false } };
  return { type: "timeseries", title, description, unit, width: 8, height: 7, queries, settings: { defaults } };
}

/** How many there were, stacked. */
function bars(title: string, description: string, queries: readonly Query[]): Tile {
  const custom = { drawStyle: "bars", fillOpacity: 80, lineWidth: 0, stacking: { mode: "normal", group: "A" } };
  const settings = { defaults: { min: 0, decimals: 0, custom } };
  return { type: "timeseries", title, description, unit: "short", width: 12, height: 7, queries, settings };
}

/** One colour more than bounds. */
function thresholds(colors: readonly string[], bounds: readonly number[]) {
  const steps = colors.map((color, index) => ({ color, value: index === 0 ? null : bounds[index - 1] }));
  return { color: { mode: "thresholds" }, thresholds: { mode: "absolute", steps } };
}

/** For 0, which is bad, and 1. */
function words(texts: Readonly<Record<string, string>>) {
  const options = Object.fromEntries(Object.entries(texts).map(([value, text]) => [value, { text }]));
  return { ...thresholds(["red", "green"], [1]), mappings: [{ type: "value", options }] };
}

const columns = 24;

/** Each group under a heading, its tiles from left to right, and on. */
function placed(groups: readonly { readonly title: string; readonly tiles: readonly Tile[] }[]): readonly Panel[] {
  const panels: Panel[] = [];
  let y = 0;
  for (const { title, tiles } of groups) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title,
      collapsed: false,
      gridPos: { h: 1, w: columns, x: 0, y },
      panels: [],
    });
    y += 1;
    let x = 0;
    for (const tile of tiles) {
      panels.push(panelOf(tile, panels.length + 1, { h: tile.height, w: tile.width, x, y }));
      x = (x + tile.width) % columns;
      y += x === 0 ? tile.height : 0;
    }
    y += x === 0 ? 0 : (tiles.at(-1)?.height ?? 0);
  }
  return panels;
}

function panelOf(tile: Tile, id: number, gridPos: Area): Panel {
  const { type, title, description, unit, queries, settings } = tile;
  const { defaults, options, transformations = [] } = settings;
  return {
    id,
    type,
    title,
    description,
    datasource: source,
    gridPos,
    fieldConfig: { defaults: { unit, ...defaults }, overrides: [] },
    options: { ...optionsOf(type), ...options },
    transformations,
    targets: queries.map((query, index) => targetOf(query, type, String.fromCharCode(65 + index))),
  };
}

function optionsOf(type: Tile["type"]) {
  switch (type) {
    case "stat":
      return { colorMode: "value", graphMode: "none", reduceOptions: { calcs: ["lastNotNull"] } };
    case "timeseries":
      return {
        legend: { displayMode: "list", placement: "bottom", showLegend: true },
        tooltip: { mode: "multi", sort: "desc" },
      };
    case "table":
      return { showHeader: true };
  }
}

function targetOf({ expr, legend, exemplar = false }: Query, type: Tile["type"], refId: string): Target {
  const kind = type === "timeseries" ? { range: true, exemplar } : { instant: true };
  const format = type === "table" ? "table" : "time_series";
  return { refId, datasource: source, editorMode: "code", expr, legendFormat: legend, format, ...kind };
}

function restarts() {
  return {
    name: "Starts of Hallux",
    datasource: source,
    enable: true,
    iconColor: "orange",
    expr: `changes(${of("process_start_time_seconds")}[$__rate_interval]) > 0`,
    titleFormat: "Hallux started",
    textFormat: "{{pod}} {{instance}}",
  };
}

/** Every one but the data source may be all: where nobody sets these labels, all is what fits. */
function variables() {
  const labelValues = (name: string, label: string, within: string) => ({
    name,
    type: "query",
    label,
    datasource: source,
    query: { query: `label_values(hallux_build_info${within}, ${name})`, refId: name },
    definition: `label_values(hallux_build_info${within}, ${name})`,
    refresh: 2,
    sort: 1,
    multi: true,
    includeAll: true,
    allValue: ".*",
    current: { text: ["All"], value: ["$__all"] },
  });
  return [
    { name: "datasource", type: "datasource", label: "Data source", query: "prometheus", refresh: 1, current: {} },
    labelValues("namespace", "Namespace", ""),
    labelValues("job", "Job", '{namespace=~"$namespace"}'),
    labelValues("pod", "Pod", '{namespace=~"$namespace",job=~"$job"}'),
  ];
}
