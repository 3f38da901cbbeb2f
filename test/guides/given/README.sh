cat > config.yaml <<'END'
kubeconfig: ~/.kube/config
auth:
  path_secret_file: path-secret
default_notifiers: [k8sevents]
END
cat > wrong.yaml <<'END'
- rule: Wrong
  match:
    rules: [Terminal shell in container]
    priority: ">=Critcal"
  dryrun: true
  actions:
    - action: Isolate
      actionner: kubernetes:networkpolcy
    - action: Terminate
      actionner: kubernetes:terminate
      parameters:
        grace_period_seconds: five
END
cat > event.json <<'END'
{"rule":"Terminal shell in container","priority":"Notice","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"orders-db-0","proc.tty":34816}}
END
