package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// A 3PL's file is picked up from an OpenSSH server, another one is pushed slowly with OpenSSH's sftp: each number is in Magento once.
// A file that is done is read again when somebody wants it.
func TestTracking_SFTPAndResend(t *testing.T) {
	t.Parallel()
	sshd := kit.NewSSHD(t)
	e := newEnv(t, time.Second)
	dir, remote := t.TempDir(), t.TempDir()
	servers := filepath.Join(t.TempDir(), "sftp.yaml")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(servers, fmt.Sprintf("- {name: acme, host: 127.0.0.1, port: %d, user: %s, key_file: %q, host_key: %q, directory: %q, every: 1s}\n",
		sshd.Port, sshd.User, sshd.KeyFile, sshd.HostKey, remote))
	order := e.Shop.PlaceOrder(fakemagento.Placing{}).IncrementID
	const header = "order_number,tracking_number,note\n"
	write(filepath.Join(remote, "a.csv"), header+order+",T100,\n")
	e.Set("CONSUMERS", "tracking_file_ready,tracking_received", "TRACKING_DIR", dir, "TRACKING_SFTP", servers)
	if out, _ := e.Call("check"); !strings.Contains(out, "OK SFTP server acme") || !strings.Contains(out, "1 files to pick up") {
		t.Errorf("check says nothing of the SFTP server:\n%s", out)
	}
	r := e.Start().AwaitReady()

	const rows = 80
	var slow strings.Builder
	slow.WriteString(header)
	for n := range rows {
		fmt.Fprintf(&slow, "%s,S%d,%s\n", order, 100+n, strings.Repeat("x", 300))
	}
	local := filepath.Join(t.TempDir(), "local")
	write(local, slow.String())
	put := sshd.Client(fmt.Sprintf("put %s %s\n", local, filepath.Join(dir, "slow.csv")), "-l", "96", "-B", "1024", "-R", "1") // 12 kB/s
	if out, err := put.CombinedOutput(); err != nil {
		t.Fatalf("sftp put: %v: %s", err, out)
	}
	there := func(path ...string) bool {
		_, err := os.Stat(filepath.Join(path...))
		return err == nil
	}
	kit.Eventually(t, env.Patience, func() bool {
		return there(dir, "processed", "acme", "a.csv") && there(dir, "processed", "slow.csv") && there(remote, "done", "a.csv") &&
			len(e.Shop.TrackCounts()) == rows+1
	}, "both files to be processed, and their numbers to be in Magento")

	out, code := e.Call("tracking", "resend", "acme/a.csv")
	if code != 0 || !strings.Contains(out, "processed/acme/a.csv") {
		t.Fatalf("resend ends with %d: %s", code, out)
	}
	r.AwaitEvent("tracking_file_done", "file", "processed/acme/a.csv")
	if out, code := e.Call("tracking", "resend", "nowhere.csv"); code != 1 {
		t.Errorf("resend of no file ends with %d: %s", code, out)
	}
	e.AwaitEmpty()
	for number, times := range e.Shop.TrackCounts() {
		if times != 1 {
			t.Errorf("%s is in Magento %d times", number, times)
		}
	}
	if !there(dir, "processed", "acme", "a.csv") || there(dir, "failed", "acme") {
		t.Error("the file that was sent again does not lie where it was")
	}
}
