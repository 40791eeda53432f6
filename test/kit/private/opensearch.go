package private

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// OpenSearch is a node of our own, or a container where Java is not there.
type OpenSearch struct {
	// URL is http://127.0.0.1:port. It is another one after a restart.
	URL string

	server
	container string // its id; "" without Docker
}

// imageOfOpenSearch has the version of test/opensearch/pom.xml.
const imageOfOpenSearch = "opensearchproject/opensearch:2.19.6"

// StartOpenSearch starts a node with nothing in it. Requests of more than 8 MB are too large for it. Close ends it, also when there
// is an error with it.
func StartOpenSearch() (*OpenSearch, error) {
	built, err := builtOpenSearch()
	if err == nil {
		return startJava(built)
	}
	if exec.Command("docker", "info").Run() != nil { //nolint:noctx // it answers at once
		return nil, err
	}
	return startContainer()
}

// builtOpenSearch returns the folder that scripts/opensearch.sh has made.
func builtOpenSearch() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
	built := filepath.Join(dir, ".run", "opensearch")
	if _, err := os.Stat(filepath.Join(built, "made")); err != nil {
		return "", errors.New("no OpenSearch here: run scripts/opensearch.sh, which needs Java and Maven, or have Docker")
	}
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("no Java here to run OpenSearch: run scripts/opensearch.sh, or have Docker")
	}
	return built, nil
}

func startJava(built string) (*OpenSearch, error) {
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, err
	}
	home, err := folder()
	if err != nil {
		return nil, err
	}
	o := &OpenSearch{server: server{
		path: java, folder: home, log: filepath.Join(home, "server.log"), env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8"},
		args: []string{
			"-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.disable.jmx=true",
			"-cp", filepath.Join(built, "classes") + string(os.PathListSeparator) + filepath.Join(built, "lib", "*"), "com.mageline.test.OpenSearch", home,
		},
		programs: built, // which nobody else may be able to read
	}}
	return o, o.Start()
}

// Start starts it again after Stop or Kill, with the data that it had.
func (o *OpenSearch) Start() error {
	if o.container != "" {
		return o.startContainer()
	}
	address := filepath.Join(o.folder, "address")
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := o.start(); err != nil {
		return err
	}
	return o.await(2*time.Minute, "OpenSearch", func(ctx context.Context) error {
		found, err := os.ReadFile(address)
		if err != nil {
			return err
		}
		o.URL = "http://" + string(found)
		return o.healthy(ctx)
	})
}

// healthy returns no error once each index can be written to.
func (o *OpenSearch) healthy(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL+"/_cluster/health?wait_for_status=yellow&timeout=4s", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("health: %s", res.Status)
	}
	return nil
}

func startContainer() (*OpenSearch, error) {
	//nolint:noctx // it takes as long as the image does
	out, err := exec.Command("docker", "run", "--detach", "--publish", "127.0.0.1::9200", "--env", "discovery.type=single-node", "--env", "DISABLE_SECURITY_PLUGIN=true",
		"--env", "DISABLE_INSTALL_DEMO_CONFIG=true", "--env", "http.max_content_length=8mb", "--env", "OPENSEARCH_JAVA_OPTS=-Xms256m -Xmx512m", imageOfOpenSearch).Output()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", imageOfOpenSearch, err)
	}
	o := &OpenSearch{container: strings.TrimSpace(string(out))}
	return o, o.awaitContainer()
}

func (o *OpenSearch) startContainer() error {
	if err := o.docker("start"); err != nil {
		return err
	}
	return o.awaitContainer()
}

func (o *OpenSearch) awaitContainer() error {
	out, err := exec.Command("docker", "port", o.container, "9200/tcp").Output() //nolint:gosec,noctx // its own container
	if err != nil {
		return err
	}
	published, _, _ := strings.Cut(string(out), "\n")
	o.URL = "http://" + strings.TrimSpace(published)
	o.ended = make(chan struct{})
	return o.await(2*time.Minute, "OpenSearch in Docker", o.healthy)
}

func (o *OpenSearch) docker(args ...string) error {
	return exec.Command("docker", append(args, o.container)...).Run() //nolint:gosec,noctx // its own container
}

// Stop ends it in order.
func (o *OpenSearch) Stop() {
	if o.container != "" {
		_ = o.docker("stop") // Start says what is wrong
		return
	}
	o.end(syscall.SIGTERM, 30*time.Second)
}

// Close ends it for good.
func (o *OpenSearch) Close() {
	if o.container != "" {
		_ = o.docker("rm", "--force", "--volumes") // the test has ended
		return
	}
	o.end(syscall.SIGKILL, 0)
	_ = os.RemoveAll(o.folder)
}
