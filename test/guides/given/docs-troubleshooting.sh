printf 'kubeconfig: /nonexistent/.kube/config\n' > config.yaml
cat > my-rules.yaml <<'END'
- rule: Shell in a shop pod
  match: { rules: [Terminal shell in container], output_fields: [k8s.ns.name=shop] }
  actions: [{ action: Isolate, actionner: kubernetes:networkpolicy }]
END
hallux server -c config.yaml -r rules/default.yaml
