// Package sftp picks files up from SFTP servers: it fetches those that are complete into an inbox, and moves or deletes them on the
// server when they are there. It knows nothing of their content.
package sftp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/ssh"
)

// What becomes of a file on the server when it was fetched.
const (
	Move   = "move" // to done/ beneath its directory
	Delete = "delete"
	Leave  = "leave"
)

// Server is one server to pick files up from.
type Server struct {
	Name         string // also of the folder of the inbox that its files go to
	Host         string
	Port         int
	User         string
	PasswordFile string
	KeyFile      string
	HostKey      string // the server's public key, as "ssh-ed25519 AAAA…", or its fingerprint, "SHA256:…"
	Directory    string
	Pattern      string // globs of names, separated by commas; "" takes what the inbox takes
	Profile      string
	Every        time.Duration
	Then         string
}

// Read reads a YAML file with a list of servers. Its error has each problem in a line.
func Read(file string) ([]Server, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var root yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&root); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it is no YAML: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	if len(root.Content) == 0 || root.Content[0].Kind != yaml.SequenceNode || len(root.Content[0].Content) == 0 {
		return nil, errors.New("it must be a list of servers, each with a name, a host and so on")
	}
	var all []Server
	var problems []error
	names := map[string]bool{}
	for i, n := range root.Content[0].Content {
		s, wrong := server(n)
		s.setDefaults()
		wrong = append(wrong, s.problems()...)
		if names[strings.ToLower(s.Name)] {
			wrong = append(wrong, "another one has its name")
		}
		names[strings.ToLower(s.Name)] = true
		for _, w := range wrong {
			problems = append(problems, fmt.Errorf("line %d, server %d (%s): %s", n.Line, i+1, s.Name, w))
		}
		all = append(all, s)
	}
	return all, errors.Join(problems...)
}

// server reads one server, and returns what is wrong with it.
func server(n *yaml.Node) (s Server, wrong []string) {
	var port, every string
	texts := map[string]*string{
		"name": &s.Name, "host": &s.Host, "port": &port, "user": &s.User, "password_file": &s.PasswordFile, "key_file": &s.KeyFile,
		"host_key": &s.HostKey, "directory": &s.Directory, "pattern": &s.Pattern, "profile": &s.Profile, "every": &every, "then": &s.Then,
	}
	if n.Kind != yaml.MappingNode {
		return s, []string{"it must be a mapping, with a name, a host and so on"}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		switch to := texts[key]; {
		case to == nil:
			wrong = append(wrong, fmt.Sprintf("there is no setting %q, but %s", key, strings.Join(slices.Sorted(maps.Keys(texts)), ", ")))
		case value.Kind != yaml.ScalarNode:
			wrong = append(wrong, key+" must be a text")
		default:
			*to = value.Value
		}
	}
	if port != "" {
		if s.Port, _ = strconv.Atoi(port); s.Port == 0 {
			s.Port = -1
		}
	}
	if every != "" {
		if s.Every, _ = time.ParseDuration(every); s.Every == 0 {
			s.Every = -1
		}
	}
	return s, wrong
}

func (s *Server) setDefaults() {
	if s.Port == 0 {
		s.Port = 22
	}
	if s.Directory == "" {
		s.Directory = "."
	}
	s.Directory = path.Clean(s.Directory)
	if s.Every == 0 {
		s.Every = 5 * time.Minute
	}
	if s.Then == "" {
		s.Then = Move
	}
}

var serverName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_ .-]*$`)

func (s *Server) problems() (all []string) {
	say := func(wrong bool, text string) {
		if wrong {
			all = append(all, text)
		}
	}
	lower := strings.ToLower(s.Name)
	say(!serverName.MatchString(s.Name) || lower == "processed" || lower == "failed", "name must be one that a folder can have: letters, digits, _, - and points, and neither processed nor failed")
	say(s.Host == "", "host must be set")
	say(s.Port < 1 || s.Port > 65535, "port must be between 1 and 65535")
	say(s.User == "", "user must be set")
	say((s.PasswordFile == "") == (s.KeyFile == ""), "one of password_file and key_file must be set")
	say(s.Every < time.Second, "every must be a time such as 5m, at least 1s")
	say(s.Then != Move && s.Then != Delete && s.Then != Leave, "then must be move, delete or leave")
	for p := range strings.SplitSeq(s.Pattern, ",") {
		_, err := path.Match(p, "")
		say(err != nil || strings.Contains(p, "/"), "pattern must be globs of file names separated by commas, such as *.csv")
	}
	if s.HostKey != "" {
		_, err := pinnedKey(s.HostKey)
		say(err != nil, `host_key must be a public key such as "ssh-ed25519 AAAA…", or a fingerprint such as "SHA256:…"`)
	}
	return all
}

// pin is the key that a server must show.
type pin struct {
	key         ssh.PublicKey // nil: only its fingerprint is known
	fingerprint string
}

func pinnedKey(text string) (pin, error) {
	if strings.HasPrefix(text, "SHA256:") {
		return pin{fingerprint: strings.TrimSpace(text)}, nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text)) //nolint:dogsled // what else may stand beside a key
	if err != nil {
		return pin{}, err
	}
	return pin{key: key, fingerprint: ssh.FingerprintSHA256(key)}, nil
}
