// Command check builds a kustomization and reads every object strictly into its Kubernetes type: anything that a
// cluster would refuse or ignore is an error. It prints the objects as a JSON list. It contacts no cluster and no
// registry.
//
// It is a module of its own, so that its dependencies are not the product's.
package main

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
)

func main() {
	objects, err := build(os.Args[1])
	if err == nil {
		err = stdjson.NewEncoder(os.Stdout).Encode(objects)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// build returns the objects of the kustomization in dir.
func build(dir string) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var objects []runtime.Object
	for _, r := range made.Resources() {
		gvk := r.GetGvk()
		object, err := scheme.New(schema.GroupVersionKind{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind})
		if err != nil {
			return nil, err
		}
		raw, err := r.MarshalJSON()
		if err != nil {
			return nil, err
		}
		// As in the API server; encoding/json would accept names in the wrong case.
		unknown, err := json.UnmarshalStrict(raw, object)
		if err = errors.Join(append(unknown, err)...); err != nil {
			return nil, fmt.Errorf("%s %s/%s: %w", gvk.Kind, r.GetNamespace(), r.GetName(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}
