aws s3api create-bucket --bucket evidence --create-bucket-configuration LocationConstraint=eu-west-1
echo packets > 2026-11-21T08-15-00Z_shop_cart-1_dump.pcap
sha256sum 2026-11-21T08-15-00Z_shop_cart-1_dump.pcap > 2026-11-21T08-15-00Z_shop_cart-1_dump.pcap.sha256
for name in 2026-11-21T08-15-00Z_shop_cart-1_dump.pcap*; do aws s3 mv "$name" "s3://evidence/captures/$name"; done
echo lines > log
aws s3api put-object --bucket evidence --key logs/2026-11-21T08-15-00Z_shop_cart-1_log --body log --metadata "sha256=$(sha256sum log | cut -c1-64)"
