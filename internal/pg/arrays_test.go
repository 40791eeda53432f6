package pg

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
)

// The bytes are pgx's own.
func TestWholeArrays_AreWrittenAsPgxWritesThem(t *testing.T) {
	for name, tt := range map[string]struct {
		oid   uint32
		value any
	}{
		"texts":       {pgtype.TextArrayOID, []string{"a", "", `{"x":"ü"}`, "NULL"}},
		"no texts":    {pgtype.TextArrayOID, []string{}},
		"integers":    {pgtype.Int8ArrayOID, []int64{0, -1, 1 << 62}},
		"no integers": {pgtype.Int8ArrayOID, []int64{}},
		"booleans":    {pgtype.BoolArrayOID, []bool{true, false}},
		"no booleans": {pgtype.BoolArrayOID, []bool{}},
		"nothing":     {pgtype.TextArrayOID, []string(nil)},
		"other kind":  {pgtype.TextArrayOID, []*string{nil}},
	} {
		theirs, ours := pgtype.NewMap(), pgtype.NewMap()
		register(ours)
		for _, format := range []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode} {
			want, err := theirs.Encode(tt.oid, format, tt.value, []byte{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := ours.Encode(tt.oid, format, tt.value, []byte{})
			if err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%s in format %d: %v, %v, want %v", name, format, got, err, want)
			}
		}
		if plan := ours.PlanEncode(tt.oid, pgtype.BinaryFormatCode, tt.value); name == "texts" && plan != any(texts{}) {
			t.Errorf("%s are written by %T", name, plan)
		}
	}
}
