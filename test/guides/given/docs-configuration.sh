cat > config.yaml <<'END'
listen_address: 127.0.0.1
listen_port: 2803
auth:
  bearer_token: only-falcosidekick-knows
  path_secret: only-falco-knows
END
cat > bad.yaml <<'END'
listen_prot: 2803
auth: {path_secret: "a secret"}
log_format: pretty
END
echo '{"rule":"Any","priority":"Debug"}' > event.json
hallux server -c config.yaml -r rules/default.yaml
