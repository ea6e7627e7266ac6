# The versions of the tools that are not in package.json. Sourced by the scripts.
BUN_VERSION=1.4.5
ENVOY_VERSION=1.40.0
# What weft is tested on: the last patch release of each minor version that the PyPI wheels hold.
SUPPORTED_ENVOYS=(1.36.4 1.37.0 1.38.3 1.39.3 1.40.0)
# Redis as most have it, and the oldest that weft supports (the last patch release that a PyPI wheel holds).
REDIS_VERSION=7.4.1
OLDEST_REDIS_VERSION=6.2.14
