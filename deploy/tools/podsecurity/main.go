// Command podsecurity reads Kubernetes manifests from standard input and exits with 1 when a pod in them falls below
// the "restricted" Pod Security profile, judged by the very library that the API server uses.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// manifest holds the part of any workload that carries a pod: Deployments, Jobs and the like have a template, CronJobs
// a template of a job. Fields that a kind lacks stay empty.
type manifest struct {
	Kind     string            `json:"kind"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Template    *corev1.PodTemplateSpec  `json:"template"`
		JobTemplate *batchv1.JobTemplateSpec `json:"jobTemplate"`
	} `json:"spec"`
}

func main() {
	pods, refused, err := check(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "podsecurity: manifests must be YAML:", err)
		os.Exit(2)
	}
	fmt.Printf("Pod Security: %d pods, %d below restricted\n", pods, refused)
	if refused > 0 || pods == 0 {
		os.Exit(1)
	}
}

func check(input io.Reader) (pods int, refused int, err error) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return 0, 0, err
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	documents := yaml.NewYAMLOrJSONDecoder(input, 4096)
	for {
		var found manifest
		if err := documents.Decode(&found); errors.Is(err, io.EOF) {
			return pods, refused, nil
		} else if err != nil {
			return pods, refused, err
		}
		template := found.Spec.Template
		if found.Spec.JobTemplate != nil {
			template = &found.Spec.JobTemplate.Spec.Template
		}
		if template == nil {
			continue
		}
		pods++
		verdict := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec))
		if !verdict.Allowed {
			refused++
			fmt.Printf("%s/%s: %s\n", found.Kind, found.Metadata.Name, verdict.ForbiddenDetail())
		}
	}
}
