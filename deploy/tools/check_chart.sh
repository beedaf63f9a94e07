#!/usr/bin/env bash
# Check the Helm chart: lint, schemas of Kubernetes, Pod Security, and that wrong values are refused.
# Every values file in ci/ is one variant. Needs Go (to build the tools once) and the schemas in ../shared/schemas.
set -euo pipefail
cd "$(dirname "$0")/../.."
chart=deploy/helm/fusionlog
schemas_archive=${SCHEMAS_ARCHIVE:-../shared/schemas/json_schemas.tgz}
kubernetes=1.37.0

left_out() { # left_out TEXT: loud here, a failure under CI=true
  if [ "${CI:-}" = true ]; then
    echo "FAILED: $1" >&2
    exit 1
  fi
  echo "LEFT OUT: $1" >&2
}

if ! command -v go >/dev/null && ! ls "${XDG_CACHE_HOME:-$HOME/.cache}"/fusionlog/bin/helm-*/helm >/dev/null 2>&1; then
  left_out "the chart is not checked: go must be on the machine to build helm and kubeconform"
  exit 0
fi
helm=$(deploy/tools/go_tool.sh helm)
kubeconform=$(deploy/tools/go_tool.sh kubeconform)
podsecurity=$(deploy/tools/go_tool.sh podsecurity)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
conform=("$kubeconform" -strict -summary -kubernetes-version "$kubernetes"
  -schema-location "$work/schemas/k8s/v$kubernetes/{{.ResourceKind}}{{.KindSuffix}}.json"
  -schema-location "$work/schemas/crd/{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json")
if [ -f "$schemas_archive" ]; then
  tar xzf "$schemas_archive" -C "$work"
else
  left_out "manifests are not checked against Kubernetes' schemas: $schemas_archive is not there"
fi

for values in "$chart/values.yaml" "$chart"/ci/*-values.yaml; do
  echo "== $(basename "$values")"
  "$helm" lint --strict --quiet --kube-version "$kubernetes" "$chart" -f "$values"
  "$helm" template release-name "$chart" --namespace logs --kube-version "$kubernetes" -f "$values" >"$work/manifests.yaml"
  [ ! -d "$work/schemas" ] || "${conform[@]}" "$work/manifests.yaml"
  "$podsecurity" <"$work/manifests.yaml"
done

echo "== what must be refused"
refused() { # refused WORDS VALUE…: the chart must not render with these values, and must say why
  local words=$1
  shift
  if "$helm" template release-name "$chart" "$@" >"$work/out" 2>&1; then
    echo "FAILED: the chart must refuse $*" >&2
    exit 1
  fi
  grep -q -- "$words" "$work/out" || { echo "FAILED: refusing $* must name '$words', got:" >&2; cat "$work/out" >&2; exit 1; }
}
refused unknownKey --set unknownKey=1
refused replica --set agent.replica=2
refused chekpoint_seconds --set agent.settings.chekpoint_seconds=5
refused on_lost_state --set agent.settings.on_lost_state=ignore
refused windows --set-json 'systems=[{"topics":["logs.app"],"spec":{"name":"app","windows":{}}}]'
refused systems --set-json 'systems=[]'
refused meta_step --set-json 'trainer.trainings=[{"system":"app","settings":{"meta_step":3}}]'
refused api_key --set-json 'trainer.trainings=[{"system":"app","settings":{"openai":{"api_key":"secret"}}}]'
refused openaiSecret --set-json 'trainer.trainings=[{"system":"app","settings":{"labeller":"openai"}}]'
refused "not in systems" --set-json 'trainer.trainings=[{"system":"other"}]'
refused allowPlaintext --set kafka.securityProtocol=PLAINTEXT
refused passwordSecret --set kafka.users.agent.passwordSecret.name=

# The checkers themselves: a manifest with one wrong field, and one pod that may become root.
"$helm" template release-name "$chart" --kube-version "$kubernetes" >"$work/manifests.yaml"
if [ -d "$work/schemas" ] && sed 's/  replicas:/  replicaCount:/' "$work/manifests.yaml" | "${conform[@]}" - >/dev/null 2>&1; then
  echo "FAILED: kubeconform must refuse a Deployment with an unknown field" >&2
  exit 1
fi
if sed 's/runAsNonRoot: true/runAsNonRoot: false/' "$work/manifests.yaml" | "$podsecurity" >/dev/null 2>&1; then
  echo "FAILED: podsecurity must refuse a pod that may run as root" >&2
  exit 1
fi
echo "chart ok"
