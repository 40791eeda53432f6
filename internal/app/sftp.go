package app

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/sftp"
	takenfile "github.com/mageline/mageline/internal/taken"
)

// wirePickups makes a task for each SFTP server, which one replica at a time runs.
func wirePickups(s *Service, b *box) (w wired) {
	var all []*sftp.Pickup
	for _, server := range s.cfg.Servers() {
		p := &sftp.Pickup{
			Server: server, Inbox: b.dir, Takes: fetches(s.cfg, server), Ledger: s.ledger, Still: s.cfg.TrackingStill, Log: s.log,
			Moved: takenfile.Store{DB: s.db, Inbox: "sftp " + server.Name},
		}
		all = append(all, p)
		w.tasks = append(w.tasks, periodic.Task{Name: "sftp " + server.Name, Every: server.Every, Run: p.Run})
	}
	w.problems = func() (problems []string) {
		for _, p := range all {
			if text, since := p.Problem(); text != "" {
				problems = append(problems, fmt.Sprintf("Files of the SFTP server %s can't be picked up since %s: %s.",
					p.Server.Name, since.UTC().Format(time.RFC3339), strings.TrimRight(text, ".")))
			}
		}
		return problems
	}
	return w
}

// fetches reports which files of a server are fetched: those of its pattern, else those that the inbox takes.
func fetches(cfg *config.Config, server sftp.Server) func(name string) bool {
	pattern := server.Pattern
	if pattern == "" {
		pattern = cfg.TrackingPattern
	}
	match, err := inbox.Globs(pattern)
	if err != nil {
		panic(err) // the configuration was checked
	}
	if server.Pattern != "" {
		return match
	}
	profiles := cfg.Profiles()
	return func(name string) bool { return match(name) || profiles.Takes(path.Join(server.Name, name)) }
}

// fetchedFrom reports whether a file of the inbox is in the folder of a server from whose pattern it was fetched.
func fetchedFrom(cfg *config.Config) func(file string) bool {
	of := map[string]func(name string) bool{}
	for _, server := range cfg.Servers() {
		of[server.Name] = fetches(cfg, server)
	}
	return func(file string) bool {
		folder, name, beneath := strings.Cut(file, "/")
		takes := of[folder]
		return beneath && takes != nil && takes(name)
	}
}

// profileOf returns the profile of the server that a file was fetched from: it lies in a folder of the server's name. A profile of
// the folder's own name comes before.
func profileOf(cfg *config.Config) func(path string) string {
	profiles := cfg.Profiles()
	of := map[string]string{}
	for _, server := range cfg.Servers() {
		if server.Profile != "" && profiles.Named(server.Name) == nil {
			of[server.Name] = server.Profile
		}
	}
	return func(file string) string {
		folder, _, _ := strings.Cut(file, "/")
		return of[folder]
	}
}
