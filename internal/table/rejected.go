package table

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

func number(n int) string { return strconv.Itoa(n) }

// Columns that are added to rejected rows.
const (
	addedLine   = "line"
	addedReason = "reason"
)

// Rejected writes bad rows in a form in which a corrected copy can be read again: in UTF-8, with the file's header and delimiter,
// and with two more columns for the line and the reason. These two columns of an earlier rejection are replaced.
type Rejected struct {
	w         io.Writer
	delimiter byte
	width     int // cells before line and reason
	behind    int // the first cell after them: more than width where a header has the two already
	split     *rows
}

// NewRejected returns a Rejected that has written the header. Of a file without a header rows have so many cells at least.
func (r *Reader) NewRejected(w io.Writer, cells int) (*Rejected, error) {
	j := &Rejected{w: w, delimiter: r.Delimiter(), width: max(r.width, cells), split: &rows{delimiter: r.Delimiter()}}
	if r.names != nil {
		j.width = r.width
	}
	j.behind = j.width
	if n := j.width; r.names != nil && n > 2 && Folded(r.names[n-2]) == addedLine && Folded(r.names[n-1]) == addedReason {
		j.width, j.behind = n-2, n
	}
	mark := ""
	if r.about.Encoding == UTF8BOM {
		mark = byteOrderMarks[UTF8BOM]
	}
	if r.separator {
		mark += "sep=" + string(rune(j.delimiter)) + "\n"
	}
	if r.names == nil {
		_, err := io.WriteString(w, mark)
		return j, err
	}
	header := append(append([]string{}, r.names[:j.width]...), addedLine, addedReason)
	_, err := io.WriteString(w, mark+j.join(header)+"\n")
	return j, err
}

// Write writes a row.
func (j *Rejected) Write(b *BadRow) error {
	var before, after string
	var have int // cells
	if b.cells != nil {
		have = len(b.cells)
		before = j.join(b.cells[:min(have, j.width)])
		after = j.join(b.cells[min(have, j.behind):])
	} else {
		// A row that could be read is written with its cells quoted where needed.
		before = b.Raw
		if _, state := j.split.split([]byte(b.Raw), true); state != closed {
			j.split.splitPlain([]byte(b.Raw))
			before = j.quote(b.Raw) // one that was cut
			j.split.cells = j.split.cells[:1]
		}
		have = len(j.split.cells)
		if have > j.behind {
			after = b.Raw[j.split.cells[j.behind].from:]
		}
		if have > j.width {
			before = b.Raw[:j.split.cells[j.width].from-1]
		}
	}
	d := string(rune(j.delimiter))
	line := before + strings.Repeat(d, max(0, j.width-have)) + d + number(b.Line) + d + j.quote(b.Reason)
	if have > j.behind {
		line += d + after
	}
	if _, err := io.WriteString(j.w, strings.ToValidUTF8(line, "\uFFFD")+"\n"); err != nil {
		return fmt.Errorf("write a rejected row: %w", err)
	}
	return nil
}

func (j *Rejected) join(cells []string) string {
	quoted := make([]string, 0, len(cells))
	for _, c := range cells {
		quoted = append(quoted, j.quote(c))
	}
	return strings.Join(quoted, string(rune(j.delimiter)))
}

// quote quotes a cell if it would be read differently without.
func (j *Rejected) quote(cell string) string {
	if strings.ContainsAny(cell, "\"\r\n"+string(rune(j.delimiter))) || strings.HasPrefix(cell, " ") {
		return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
	}
	return cell
}
