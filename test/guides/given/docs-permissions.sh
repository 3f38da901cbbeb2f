kubectl create namespace hallux
kubectl create namespace shop
cat > rules.yaml <<'END'
- rule: Mark
  match: { rules: [Terminal shell in container] }
  actions:
    - action: Annotate
      actionner: kubernetes:annotation
      parameters: { annotations: { example.com/seen: "true" } }
- rule: End
  match: { rules: [Netcat Remote Code Execution in Container], output_fields: [k8s.ns.name=shop] }
  actions:
    - action: Kill
      actionner: kubernetes:terminate
END
kubectl create serviceaccount lacking -n hallux
kubectl create role lacking -n shop --verb=get,delete --resource=pods
kubectl create rolebinding lacking -n shop --role=lacking --serviceaccount=hallux:lacking
cp ~/.kube/config hallux.kubeconfig
kubectl --kubeconfig=hallux.kubeconfig config set-credentials lacking --token="$(kubectl create token lacking -n hallux)"
kubectl --kubeconfig=hallux.kubeconfig config set-context --current --user=lacking
