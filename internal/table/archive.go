package table

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"
)

// Container is what a file is packed in.
type Container string

// The containers.
const (
	Plain    Container = ""
	Gzip     Container = "gzip"
	Zip      Container = "zip"
	Workbook Container = "xlsx"
)

// maxUnpacked bounds what is unpacked. Only tests change it.
var maxUnpacked int64 = MaxBytes

// containerOf returns what a file is packed in, by its first bytes.
func containerOf(begin []byte) Container {
	switch {
	case bytes.HasPrefix(begin, []byte("\x1f\x8b")):
		return Gzip
	case bytes.HasPrefix(begin, []byte("PK\x03\x04")), bytes.HasPrefix(begin, []byte("PK\x05\x06")):
		return Zip
	}
	return Plain
}

// unpack returns the one table in a file, which must be at its beginning: the file itself where it is not packed. Errors of the file
// come as they are; what is wrong with its content is an *UnusableError.
func unpack(f io.ReadSeeker, size int64, c Container) (io.Reader, Container, error) {
	switch c {
	case Gzip:
		kept := &keeper{r: bufio.NewReaderSize(f, readSize)}
		z, err := gzip.NewReader(kept)
		if err != nil {
			return nil, c, kept.or(err, "the gzip can't be unpacked, it is damaged or cut off: send it again")
		}
		return &unpacking{r: z, below: kept, left: maxUnpacked, reason: "the gzip is damaged or cut off: send it again"}, c, nil
	case Zip:
		kept := &keeper{at: f}
		z, err := zip.NewReader(kept, size)
		if err != nil {
			return nil, c, kept.or(err, "the zip can't be read, it is damaged or cut off: send it again")
		}
		return unzip(z, kept)
	case Plain, Workbook:
	}
	return f, Plain, nil
}

// unzip returns the one file in a zip, or the first sheet of a workbook.
func unzip(z *zip.Reader, below *keeper) (io.Reader, Container, error) {
	var only *zip.File
	files := 0
	for _, f := range z.File {
		base := path.Base(f.Name)
		switch {
		case f.Name == "xl/workbook.xml":
			text, err := openWorkbook(z, below)
			return text, Workbook, err
		case f.FileInfo().IsDir(), strings.HasPrefix(f.Name, "__MACOSX/"), base == ".DS_Store", strings.EqualFold(base, "Thumbs.db"):
		default:
			only = f
			files++
		}
	}
	switch {
	case files == 0:
		return nil, Zip, unusable("the zip has no file in it")
	case files > 1:
		return nil, Zip, unusable("the zip has %d files in it, and nobody knows which of them counts: send them one by one", files)
	case only.Flags&1 != 0:
		return nil, Zip, unusable("the zip is encrypted: send it without a password")
	}
	r, err := only.Open()
	if err != nil {
		return nil, Zip, below.or(err, "the file in the zip can't be unpacked: send it again")
	}
	return &unpacking{r: r, below: below, left: maxUnpacked, reason: "the file in the zip is damaged: send it again"}, Zip, nil
}

// keeper remembers the errors of a file, so that they can be told from those of its content.
type keeper struct {
	r   *bufio.Reader
	at  io.ReadSeeker // for ReadAt
	err error
}

// Read reads on. It and ReadByte are what compress/flate asks for.
func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	return n, k.keep(err)
}

// ReadByte reads a byte.
func (k *keeper) ReadByte() (byte, error) {
	b, err := k.r.ReadByte()
	return b, k.keep(err)
}

// ReadAt reads at an offset. One goroutine calls it.
func (k *keeper) ReadAt(p []byte, offset int64) (int, error) {
	if _, err := k.at.Seek(offset, io.SeekStart); err != nil {
		return 0, k.keep(err)
	}
	n, err := io.ReadFull(k.at, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, k.keep(err)
}

func (k *keeper) keep(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return err
}

// or returns the error of the file, if there was one, and else that its content is wrong.
func (k *keeper) or(err error, reason string) error {
	if k.err != nil {
		return k.err
	}
	if u := (*UnusableError)(nil); errors.As(err, &u) {
		return err
	}
	return unusable("%s", reason)
}

// unpacking reads what is unpacked, within the bounds of a file.
type unpacking struct {
	r      io.Reader
	below  *keeper
	left   int64
	reason string // of an error of the content
}

func (u *unpacking) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, unusable("the file has more than %d MiB when it is unpacked: split it", maxUnpacked>>20)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.below.or(err, u.reason)
	}
	return n, err
}
