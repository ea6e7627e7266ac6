# The versions of the tools that are not in package.json. Sourced by the scripts.
BUN_VERSION=1.4.5
ENVOY_VERSION=1.40.0
