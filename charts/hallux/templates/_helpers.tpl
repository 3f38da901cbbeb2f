{{- define "hallux.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "hallux.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "hallux.labels" -}}
{{- $own := include "hallux.selector" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) -}}
{{- toYaml (merge $own .Values.labels) -}}
{{- end -}}

{{/* Takes name (a suffix, or ""), labels and annotations of this object, and root. */}}
{{- define "hallux.metadata" -}}
{{- $root := .root -}}
name: {{ printf "%s%s" (include "hallux.fullname" $root) .name | quote }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- merge (include "hallux.labels" $root | fromYaml) (default dict .labels) | toYaml | nindent 2 }}
{{- with merge (dict) (default dict .annotations) $root.Values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "hallux.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "hallux.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* ClusterRoles are shared by all namespaces. The colon is in no other name: a-b of c is never a of b-c. */}}
{{- define "hallux.clusterRoleName" -}}
{{- printf "%s:%s" .Release.Namespace (include "hallux.fullname" .) -}}
{{- end -}}

{{- define "hallux.image" -}}
{{- with .Values.image -}}
{{- $repository := ternary (printf "%s/%s" .registry .repository) .repository (ne .registry "") -}}
{{- $tag := printf ":%s" (default $.Chart.AppVersion .tag) -}}
{{- $repository }}{{ ternary (printf "@%s" .digest) $tag (ne .digest "") -}}
{{- end -}}
{{- end -}}

{{- define "hallux.ledger" -}}
{{- dig "ledger" "driver" "sqlite" .Values.config -}}
{{- end -}}

{{- define "hallux.port" -}}
{{- .Values.config.listen_port | default 2803 | int -}}
{{- end -}}

{{- define "hallux.tlsSecret" -}}
{{- if .Values.tls.certManager.enabled -}}
{{- default (printf "%s-tls" (include "hallux.fullname" .)) .Values.tls.existingSecret -}}
{{- else -}}
{{- .Values.tls.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "hallux.scheme" -}}
{{- ternary "HTTP" "HTTPS" (empty (include "hallux.tlsSecret" .)) -}}
{{- end -}}

{{/* Megabytes. */}}
{{- define "hallux.heap" -}}
{{- $limit := dig "limits" "memory" "" .Values.resources | toString -}}
{{- if .Values.heapMegabytes -}}
{{- int .Values.heapMegabytes -}}
{{- else if regexMatch "^[0-9]+Mi$" $limit -}}
{{- div (trimSuffix "Mi" $limit | int) 2 -}}
{{- else if regexMatch "^[0-9]+Gi$" $limit -}}
{{- mul (trimSuffix "Gi" $limit | int) 512 -}}
{{- else if empty $limit -}}
256
{{- else -}}
{{- fail (printf "heapMegabytes is needed with resources.limits.memory %s: without it only whole Mi and Gi are understood" $limit) -}}
{{- end -}}
{{- end -}}

{{/* How long it may take to stop in order: where NATS does not answer, some seconds more than is set. */}}
{{- define "hallux.gracePeriod" -}}
{{- $delay := dig "shutdown_delay_seconds" 3 .Values.config | int -}}
{{- $grace := dig "shutdown_grace_seconds" 20 .Values.config | int -}}
{{- add $delay $grace 15 -}}
{{- end -}}

{{/* A path is a setting of its own, a value has one that ends in _file. */}}
{{- define "hallux.fileSetting" -}}
{{- ternary . (printf "%s_file" .) (regexMatch "_(file|path)$" .) -}}
{{- end -}}

{{- define "hallux.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- range $setting, $_ := .Values.existingSecrets -}}
{{- $section := $config -}}
{{- $path := splitList "." $setting -}}
{{- range initial $path -}}
{{- if not (get $section .) -}}{{- $_ := set $section . dict -}}{{- end -}}
{{- $section = get $section . -}}
{{- end -}}
{{- $name := last $path -}}
{{- $file := include "hallux.fileSetting" $name -}}
{{- if or (hasKey $section $name) (hasKey $section $file) -}}
{{- fail (printf "%s is given twice: in config and in existingSecrets" $setting) -}}
{{- end -}}
{{- $_ := set $section $file (printf "/etc/hallux/secrets/%s" $setting) -}}
{{- end -}}
{{- if include "hallux.tlsSecret" . -}}
{{- $tls := default dict $config.tls -}}
{{- if or (hasKey $tls "cert_file") (hasKey $tls "key_file") -}}
{{- fail "the certificate is given twice: in config.tls and in tls" -}}
{{- end -}}
{{- $_ := set $config "tls" (merge (dict "cert_file" "/etc/hallux/tls/tls.crt" "key_file" "/etc/hallux/tls/tls.key") $tls) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The files of the chart's own ConfigMap; the order of their names within a kind is the order of loading. */}}
{{- define "hallux.rules" -}}
{{- $files := dict -}}
{{- if .Values.rules.default -}}
{{- $_ := set $files "default.yaml" (.Files.Get "files/rules.yaml") -}}
{{- end -}}
{{- range $kind := list "custom" "overrides" -}}
{{- range $name, $rules := get $.Values.rules $kind -}}
{{- $_ := set $files (printf "%s.%s" $kind $name) (ternary $rules (toYaml $rules) (kindIs "string" $rules)) -}}
{{- end -}}
{{- end -}}
{{- if and (empty $files) (empty .Values.rules.existingConfigMaps) -}}
{{- fail "there are no rules: give rules.custom or rules.existingConfigMaps, or set rules.default" -}}
{{- end -}}
{{- toJson $files -}}
{{- end -}}

{{/* The paths of all rules files below /etc/hallux/rules, a line for each, in the order of loading. */}}
{{- define "hallux.rulesFiles" -}}
{{- if .Values.rules.default }}
default.yaml
{{- end }}
{{- range $name, $_ := .Values.rules.custom }}
custom.{{ $name }}
{{- end }}
{{- range .Values.rules.existingConfigMaps }}
{{ .name }}/{{ .key }}
{{- end }}
{{- range $name, $_ := .Values.rules.overrides }}
overrides.{{ $name }}
{{- end }}
{{- end -}}

{{/* What would start and not work. */}}
{{- define "hallux.check" -}}
{{- if and (gt (int .Values.replicas) 1) (eq (include "hallux.ledger" .) "sqlite") -}}
{{- fail "replicas must be 1: the sqlite ledger belongs to one process. For more set config.ledger.driver to nats" -}}
{{- end -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.certManager.issuerRef.name) -}}
{{- fail "tls.certManager.issuerRef.name is needed" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is needed" -}}
{{- end -}}
{{- if and (eq .Values.rbac.role "given") .Values.rbac.create (not .Values.rbac.clusterRules) (not .Values.rbac.namespaceRules) -}}
{{- fail "rbac.clusterRules or rbac.namespaceRules is needed with rbac.role given: hallux rbac prints them" -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "POD_NAME" "POD_NAMESPACE" "NODE_OPTIONS") -}}
{{- fail (printf "extraEnv: the chart sets %s by itself (heapMegabytes is what NODE_OPTIONS says)" .name) -}}
{{- end -}}
{{- end -}}
{{- if and (ne .Values.rbac.role "given") (or .Values.rbac.clusterRules .Values.rbac.namespaceRules) -}}
{{- fail "rbac.clusterRules and rbac.namespaceRules have an effect only with rbac.role given" -}}
{{- end -}}
{{- end -}}
