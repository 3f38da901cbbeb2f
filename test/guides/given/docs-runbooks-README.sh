kubectl create namespace hallux
kubectl create namespace shop
kubectl create namespace falco
printf only-falco-knows > path-secret
kubectl create secret generic hallux-auth -n hallux --from-file=path-secret
printf 'existingSecrets:\n  auth.path_secret: { name: hallux-auth, key: path-secret }\n' > values.yaml
helm install hallux charts/hallux -n hallux -f values.yaml
kubectl rollout status deployment/hallux -n hallux --timeout=1m
kubectl run cart -n shop --image=nginx
kubectl wait pod/cart -n shop --for=condition=Ready --timeout=1m
kubectl run falco -n falco --labels=app.kubernetes.io/name=falco --image=falco --command -- sh -c 'echo "{\"rule\":\"Any\",\"priority\":\"Critical\",\"output_fields\":{}}"; sleep 3600'
kubectl wait pod/falco -n falco --for=condition=Ready --timeout=1m
curl -sf "http://127.0.0.1:2803/$(cat path-secret)" -d '{"rule":"Any","priority":"Critical","output_fields":{"k8s.ns.name":"shop","k8s.pod.name":"cart"}}'
printf 'log_format: json\n' > config.yaml
