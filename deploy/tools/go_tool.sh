#!/usr/bin/env bash
# Print the path of a pinned Go program, building it on first use (minutes) into a cache outside the clone.
# Usage: go_tool.sh helm|kubeconform|podsecurity
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
name=${1:?usage: go_tool.sh helm|kubeconform|podsecurity}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/fusionlog/bin

case $name in
  helm) version=v4.3.1 package=helm.sh/helm/v4/cmd/helm ;;
  kubeconform) version=v0.8.0 package=github.com/yannh/kubeconform/cmd/kubeconform ;;
  podsecurity)
    # Our own program: its version is its source.
    version=$(cat "$here"/podsecurity/{go.mod,go.sum,main.go} | sha256sum | cut -c1-8) package=
    ;;
  *) echo "go_tool.sh must be given helm, kubeconform or podsecurity, got $name" >&2 && exit 2 ;;
esac

folder=$cache/$name-$version
if [ ! -x "$folder/$name" ]; then
  command -v go >/dev/null || { echo "go must be on the machine to build $name: https://go.dev/doc/install" >&2; exit 1; }
  echo "building $name $version (once, some minutes)" >&2
  mkdir -p "$cache"
  fresh=$(mktemp -d "$cache/$name.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  if [ -n "$package" ]; then
    GOBIN=$fresh GOFLAGS=-mod=mod go install -ldflags='-s -w' "$package@$version" >&2
  else
    (cd "$here/$name" && go build -ldflags='-s -w' -o "$fresh/$name" .) >&2
  fi
  chmod 755 "$fresh"
  # The rename makes the folder appear complete; another process that was faster wins.
  mv -T "$fresh" "$folder" 2>/dev/null || [ -x "$folder/$name" ]
fi
echo "$folder/$name"
