kubectl create namespace hallux
kubectl create namespace shop
printf only-falco-knows > path-secret
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=hallux -keyout tls.key -out tls.crt
kubectl create secret generic hallux-auth -n hallux --from-file=path-secret
kubectl create secret tls hallux-tls -n hallux --cert=tls.crt --key=tls.key
kubectl run cart -n shop --image=nginx
kubectl wait pod/cart -n shop --for=condition=Ready --timeout=1m
