printf -- '- action: Terminate pod\n  parameters:\n    grace_period_seconds: 30\n' > override.yaml
