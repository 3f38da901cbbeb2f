kubectl create namespace falco
kubectl create namespace shop
kubectl create deployment falco-talon -n falco --image=falco-talon
kubectl run cart -n shop --image=nginx
cat > talon.yaml <<'END'
- action: Label pod
  actionner: kubernetes:label
  parameters:
    labels:
      suspicious: "true"
- action: Terminate pod
  actionner: kubernetes:terminate
  parameters:
    ignore_standalone_pods: false
- rule: Shell in the shop
  match:
    rules:
      - Terminal shell in container
    output_fields:
      - k8s.ns.name!=kube-system, k8s.ns.name!=falco
  actions:
    - action: Label pod
    - action: Terminate pod
- rule: Anything critical
  match:
    priority: ">=Critical"
  actions:
    - action: Label pod
END
cat > override.yaml <<'END'
- action: Terminate pod
  parameters:
    grace_period_seconds: 5
END
kubectl create configmap falco-talon-rules -n falco --from-file=rules.yaml=talon.yaml --from-file=rules_override.yaml=override.yaml
printf 'listen_port: "2803"\nwatch_rules: true\ndeduplication:\n  leader_election: true\ndefault_notifiers: [k8sevents]\n' > config.yaml
