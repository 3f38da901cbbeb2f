printf 'watch_rules: false\nlisten_address: 127.0.0.1\n' > config.yaml
cp rules/default.yaml rules.yaml
hallux server -c config.yaml -r rules.yaml
printf -- '- rule: One more\n  match: { rules: [Something new] }\n  actions: [{ action: Label pod as suspicious }]\n' >> rules.yaml
