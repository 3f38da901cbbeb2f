printf only-falco-knows > /etc/hallux/path-secret
