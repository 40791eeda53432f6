package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// trackingFiles drops three files: a clean one, one with bad rows, and one that is none.
func (d *demo) trackingFiles(ctx context.Context) error {
	d.title("A 3PL's files")
	d.say("Three orders were packed. The 3PL drops a file with two of them, a file in which it made mistakes, and,")
	d.say("by accident, a picture.")
	var rows []string
	for i := range 3 {
		o := d.shop.PlaceOrder(fakemagento.Placing{})
		d.orders = append(d.orders, expected{number: o.IncrementID, documents: 1})
		if err := d.wire.publishOrder(ctx, placed, o, 1); err != nil {
			return err
		}
		number := fmt.Sprintf("003404341610940425%02d", i)
		d.parcels = append(d.parcels, o.IncrementID+" "+number)
		rows = append(rows, o.IncrementID+";"+number+";DHL Paket\n")
	}
	const header = "Order Number;Tracking Number;Carrier Code\n"
	for name, content := range map[string]string{
		"monday.csv":  header + rows[0] + rows[1],
		"tuesday.csv": header + "000000099;;DHL Paket\n" + rows[2] + "1,00E+08;0034;DHL Paket\n",
		"picture.csv": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\n", // without a line break at its end it would wait for a minute
	} {
		if err := d.drop(name, content); err != nil {
			return err
		}
	}
	want := []string{
		"failed/picture.csv", "failed/picture.csv.error.txt", "failed/tuesday.csv.rejected.csv", "processed/monday.csv", "processed/tuesday.csv",
	}
	var there []string
	err := d.await(ctx, d.patience, "the files out of the inbox, and the numbers of the parcels in Magento", func() (done bool, err error) {
		there, err = d.filesInInbox()
		return slices.Equal(there, want) && len(parcelVerdict(d.parcels, d.shop.TrackCounts())) == 0, err
	})
	if err != nil {
		return fmt.Errorf("%w (there are %s; %s)", err, strings.Join(there, ", "), strings.Join(parcelVerdict(d.parcels, d.shop.TrackCounts()), ", "))
	}
	d.good("every good row is a shipment in Magento with its number; the inbox is empty, and beneath it there are")
	for _, name := range want {
		d.say("  %s", name)
	}
	for _, name := range []string{"tuesday.csv.rejected.csv", "picture.csv.error.txt"} {
		content, err := os.ReadFile(filepath.Join(d.inbox, "failed", name))
		if err != nil {
			return err
		}
		d.command("cat failed/"+name, string(content))
	}
	return nil
}

// drop puts a file into the inbox as an upload should: under another name until it is whole.
func (d *demo) drop(name, content string) error {
	path := filepath.Join(d.inbox, name)
	if err := os.WriteFile(path+".part", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// filesInInbox gives the files in the inbox and beneath it, sorted.
func (d *demo) filesInInbox() (files []string, err error) {
	err = filepath.WalkDir(d.inbox, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.inbox, path)
		files = append(files, name)
		return err
	})
	return files, err
}
