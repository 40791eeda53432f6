package pg

import (
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// A group commit sends each column as an array. pgx writes one element by element, each in an interface of its own, which
// costs several allocations for every row and column. Of the three kinds of column here, the whole array is written at
// once.

// writeArrays has a new connection of a pool write []string, []int64 and []bool so. All else is as pgx does it.
func writeArrays(_ context.Context, c *pgx.Conn) error {
	register(c.TypeMap())
	return nil
}

func register(m *pgtype.Map) {
	for _, oid := range []uint32{pgtype.TextArrayOID, pgtype.Int8ArrayOID, pgtype.BoolArrayOID} {
		if t, ok := m.TypeForOID(oid); ok {
			if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
				m.RegisterType(&pgtype.Type{Name: t.Name, OID: oid, Codec: wholeArrays{array}})
			}
		}
	}
}

// wholeArrays is the codec of an array that writes the slices of its own kind at once.
type wholeArrays struct{ *pgtype.ArrayCodec }

func (c wholeArrays) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if format == pgtype.BinaryFormatCode {
		switch value.(type) {
		case []string:
			if oid == pgtype.TextArrayOID {
				return texts{}
			}
		case []int64:
			if oid == pgtype.Int8ArrayOID {
				return integers{}
			}
		case []bool:
			if oid == pgtype.BoolArrayOID {
				return booleans{}
			}
		}
	}
	return c.ArrayCodec.PlanEncode(m, oid, format, value)
}

type (
	texts    struct{}
	integers struct{}
	booleans struct{}
)

func (texts) Encode(value any, b []byte) ([]byte, error) {
	all, _ := value.([]string)
	b = appendArray(b, pgtype.TextOID, len(all))
	for _, v := range all {
		b = append(appendLength(b, len(v)), v...)
	}
	return b, nil
}

func (integers) Encode(value any, b []byte) ([]byte, error) {
	all, _ := value.([]int64)
	b = appendArray(b, pgtype.Int8OID, len(all))
	for _, v := range all {
		b = binary.BigEndian.AppendUint64(appendLength(b, 8), uint64(v)) //nolint:gosec // the bits
	}
	return b, nil
}

func (booleans) Encode(value any, b []byte) ([]byte, error) {
	all, _ := value.([]bool)
	b = appendArray(b, pgtype.BoolOID, len(all))
	for _, v := range all {
		var bit byte
		if v {
			bit = 1
		}
		b = append(appendLength(b, 1), bit)
	}
	return b, nil
}

// appendArray begins an array of n elements: one dimension, no nulls, the type, the length, and the first index
// (array_recv in Postgres' arrayfuncs.c).
func appendArray(b []byte, element uint32, n int) []byte {
	b = appendLength(appendLength(b, 1), 0)
	b = binary.BigEndian.AppendUint32(b, element)
	return appendLength(appendLength(b, n), 1)
}

func appendLength(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) } //nolint:gosec // below 2^31, as Postgres wants it
