hallux server -r rules/default.yaml
curl -sf http://127.0.0.1:2803/ -d '{"rule":"Any","priority":"Critical","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"cart"}}'
