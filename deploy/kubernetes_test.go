// Package deploy checks that deploy/kubernetes renders, that Kubernetes would accept every object of it, and that it keeps
// what mageline promises: an orderly stop, no more rights than needed, secrets as files.
package deploy

import (
	"os"
	"path"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// afterCancel is what a handler has to return in once its context is cancelled (docs/deliveries.md): a stop lasts as long as
// SHUTDOWN_TIMEOUT and this.
const afterCancel = 10 * time.Second

// rendered is the base, an object of each kind.
type rendered struct {
	deployment *appsv1.Deployment
	service    *corev1.Service
	budget     *policyv1.PodDisruptionBudget
	settings   *corev1.ConfigMap
}

// strict decodes as the API server does with fieldValidation=Strict: unknown and doubled fields are errors.
func strict(t *testing.T, document []byte) runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDeserializer().Decode(document, nil, nil)
	if err != nil {
		t.Fatalf("Kubernetes would refuse this: %v\n%s", err, document)
	}
	return object
}

func render(t *testing.T) rendered {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	var r rendered
	for _, resource := range resources.Resources() {
		document, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		switch object := strict(t, document).(type) {
		case *appsv1.Deployment:
			r.deployment = object
		case *corev1.Service:
			r.service = object
		case *policyv1.PodDisruptionBudget:
			r.budget = object
		case *corev1.ConfigMap:
			r.settings = object
		default:
			t.Errorf("the base holds a %T, which nothing here expects", object)
		}
	}
	if r.deployment == nil || r.service == nil || r.budget == nil || r.settings == nil {
		t.Fatalf("the base lacks a Deployment, Service, PodDisruptionBudget or ConfigMap: %+v", r)
	}
	return r
}

func container(t *testing.T, r rendered) corev1.Container {
	t.Helper()
	containers := r.deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		t.Fatalf("%d containers in the pod, want mageline alone", len(containers))
	}
	return containers[0]
}

func TestReplicas_AreReplacedOneAtATime(t *testing.T) {
	r := render(t)
	if n := r.deployment.Spec.Replicas; n == nil || *n < 2 {
		t.Errorf("replicas = %v, want at least 2", n)
	}
	if u := r.deployment.Spec.Strategy.RollingUpdate; u == nil || u.MaxUnavailable == nil || u.MaxUnavailable.IntValue() != 0 {
		t.Errorf("a rolling update takes replicas away before the new ones are ready: %v", u)
	}
	if m := r.budget.Spec.MaxUnavailable; m == nil || m.IntValue() != 1 {
		t.Errorf("disruption budget: maxUnavailable = %v, want 1", m)
	}
}

func TestSelectors_MatchThePods(t *testing.T) {
	r := render(t)
	pods := labels.Set(r.deployment.Spec.Template.Labels)
	spread := r.deployment.Spec.Template.Spec.TopologySpreadConstraints
	if len(spread) == 0 {
		t.Fatal("nothing spreads the replicas over nodes")
	}
	for name, selector := range map[string]*metav1.LabelSelector{
		"Deployment":          r.deployment.Spec.Selector,
		"PodDisruptionBudget": r.budget.Spec.Selector,
		"Service":             {MatchLabels: r.service.Spec.Selector},
		"topology spread":     spread[0].LabelSelector,
	} {
		s, err := metav1.LabelSelectorAsSelector(selector)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Empty() || !s.Matches(pods) {
			t.Errorf("the selector of the %s, %q, does not select the pods, %q", name, s, pods)
		}
	}
}

func TestGracePeriod_FitsTheDrain(t *testing.T) {
	r := render(t)
	drain, err := time.ParseDuration(r.settings.Data["MAGELINE_SHUTDOWN_TIMEOUT"])
	if err != nil {
		t.Fatal(err)
	}
	seconds := r.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds
	if seconds == nil {
		t.Fatal("no terminationGracePeriodSeconds: the default, 30 s, cuts handlers off")
	}
	if grace := time.Duration(*seconds) * time.Second; grace <= drain+afterCancel {
		t.Errorf("the pod is killed after %v, but may need %v to stop in order", grace, drain+afterCancel)
	}
}

func TestProbes_AskHealthAndReadiness(t *testing.T) {
	r := render(t)
	c := container(t, r)
	if len(c.Ports) != 1 || c.Ports[0].Name != "http" || c.Ports[0].ContainerPort != 8080 {
		t.Fatalf("ports = %+v, want http on 8080", c.Ports)
	}
	if p := r.service.Spec.Ports; len(p) != 1 || p[0].Port != 8080 || p[0].TargetPort.StrVal != "http" {
		t.Errorf("service ports = %+v, want 8080 to the port http", p)
	}
	for name, probe := range map[string]struct {
		probe *corev1.Probe
		path  string
	}{
		"startup":   {c.StartupProbe, "/healthz"},
		"liveness":  {c.LivenessProbe, "/healthz"},
		"readiness": {c.ReadinessProbe, "/readyz"},
	} {
		if probe.probe == nil || probe.probe.HTTPGet == nil {
			t.Errorf("no %s probe over HTTP", name)
			continue
		}
		if get := probe.probe.HTTPGet; get.Path != probe.path || get.Port.StrVal != "http" {
			t.Errorf("%s probe asks %s on %s, want %s on http", name, get.Path, get.Port.String(), probe.path)
		}
	}
}

func TestPod_HasNoMoreRightsThanNeeded(t *testing.T) {
	r := render(t)
	pod, c := r.deployment.Spec.Template.Spec, container(t, r)
	isTrue := func(b *bool) bool { return b != nil && *b }
	isFalse := func(b *bool) bool { return b != nil && !*b }
	if pod.SecurityContext == nil || c.SecurityContext == nil || c.SecurityContext.Capabilities == nil {
		t.Fatal("a security context is missing")
	}
	capabilities := c.SecurityContext.Capabilities
	for demand, met := range map[string]bool{
		"runs as non-root":               isTrue(pod.SecurityContext.RunAsNonRoot),
		"runs as the image's user":       pod.SecurityContext.RunAsUser != nil && *pod.SecurityContext.RunAsUser == 65532,
		"seccomp RuntimeDefault":         pod.SecurityContext.SeccompProfile != nil && pod.SecurityContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"no service account token":       isFalse(pod.AutomountServiceAccountToken),
		"no service variables":           isFalse(pod.EnableServiceLinks),
		"read-only root":                 isTrue(c.SecurityContext.ReadOnlyRootFilesystem),
		"no privilege escalation":        isFalse(c.SecurityContext.AllowPrivilegeEscalation),
		"all capabilities dropped":       len(capabilities.Drop) == 1 && capabilities.Drop[0] == "ALL" && len(capabilities.Add) == 0,
		"memory bounded":                 !c.Resources.Limits.Memory().IsZero(),
		"processor and memory asked for": !c.Resources.Requests.Cpu().IsZero() && !c.Resources.Requests.Memory().IsZero(),
	} {
		if !met {
			t.Errorf("not so: %s", demand)
		}
	}
}

func TestSecrets_AreFiles(t *testing.T) {
	r := render(t)
	example, err := os.ReadFile("kubernetes/secret.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	secret, ok := strict(t, example).(*corev1.Secret)
	if !ok {
		t.Fatal("secret.example.yaml is not a Secret")
	}

	c, volumes := container(t, r), r.deployment.Spec.Template.Spec.Volumes
	if len(volumes) != 1 || volumes[0].Secret == nil || volumes[0].Secret.SecretName != secret.Name {
		t.Fatalf("volumes = %+v, want the Secret %s alone", volumes, secret.Name)
	}
	if mode := volumes[0].Secret.DefaultMode; mode == nil || *mode != 0o440 {
		t.Error("the secrets' defaultMode is not 0440: by default every user in the container may read them")
	}
	if len(c.VolumeMounts) != 1 || c.VolumeMounts[0].Name != volumes[0].Name || !c.VolumeMounts[0].ReadOnly {
		t.Fatalf("mounts = %+v, want the secrets, read-only", c.VolumeMounts)
	}

	unused := make(map[string]bool, len(secret.StringData))
	for key := range secret.StringData {
		unused[key] = true
	}
	for _, variable := range c.Env {
		if !strings.HasPrefix(variable.Name, "MAGELINE_") || !strings.HasSuffix(variable.Name, "_FILE") {
			t.Errorf("%s is set on the container: settings belong in the ConfigMap, secrets in files", variable.Name)
			continue
		}
		folder, key := path.Split(variable.Value)
		if path.Clean(folder) != c.VolumeMounts[0].MountPath {
			t.Errorf("%s names %s, which is not among the mounted secrets", variable.Name, variable.Value)
		}
		if _, there := secret.StringData[key]; !there {
			t.Errorf("%s names the key %s, which secret.example.yaml lacks", variable.Name, key)
		}
		delete(unused, key)
	}
	for key := range unused {
		t.Errorf("secret.example.yaml holds %s, which nothing reads", key)
	}
}

func TestSettings_ReachTheContainer(t *testing.T) {
	r := render(t)
	from := container(t, r).EnvFrom
	if len(from) != 1 || from[0].ConfigMapRef == nil || from[0].ConfigMapRef.Name != r.settings.Name {
		t.Errorf("envFrom = %+v, want the ConfigMap %s, whose name changes with its content", from, r.settings.Name)
	}
	for name := range r.settings.Data {
		if !strings.HasPrefix(name, "MAGELINE_") {
			t.Errorf("the setting %s lacks mageline's prefix", name)
		}
	}
}
