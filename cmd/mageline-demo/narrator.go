package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// narrator tells the story: with colours on a terminal, else as plain text.
type narrator struct {
	out    io.Writer
	colour bool
	scene  int
}

const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func newNarrator(out io.Writer) *narrator {
	file, ok := out.(*os.File)
	return &narrator{out: out, colour: ok && term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""}
}

func (n *narrator) paint(code, text string) string {
	if !n.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// title begins the next scene.
func (n *narrator) title(text string) {
	n.scene++
	fmt.Fprintf(n.out, "\n%s\n", n.paint(bold, fmt.Sprintf("%d. %s", n.scene, text)))
}

func (n *narrator) say(format string, args ...any) { fmt.Fprintf(n.out, "   "+format+"\n", args...) }

func (n *narrator) good(format string, args ...any) {
	fmt.Fprintf(n.out, "   %s %s\n", n.paint(green, "✓"), fmt.Sprintf(format, args...))
}

func (n *narrator) bad(format string, args ...any) {
	fmt.Fprintf(n.out, "   %s %s\n", n.paint(red, "✗"), fmt.Sprintf(format, args...))
}

// command shows a command line and what it printed.
func (n *narrator) command(line, output string) {
	n.say("%s", n.paint(cyan, "$ "+line))
	for text := range strings.Lines(output) {
		n.say("%s", n.paint(dim, "  "+strings.TrimRight(text, "\n")))
	}
}

// fact shows where something is.
func (n *narrator) fact(name, value string) { n.say("%-14s %s", name, n.paint(cyan, value)) }
