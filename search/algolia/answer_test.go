package algolia

import "testing"

func TestReadRefused_EveryForm(t *testing.T) {
	for body, want := range map[string]refused{
		`{"message":"Record at the position 1 objectID=56 is too big size=20715 bytes. Contact us if you need an extended quota","position":1,"objectID":"56","status":400}`: {"", 1, "56", true},
		`{"message":"Record at the position 12 objectID=AB C/1 is too big size=20715 bytes. Contact us","status":400}`:                                                       {"", 12, "AB C/1", true},
		`{"message":"Record is too big","position":3}`:                    {"", 3, "", true},
		`{"message":"Record objectID=7 is too big size=1 bytes"}`:         {"", -1, "7", true},
		`{"message":"Missing mandatory attribute objectID","position":0}`: {"", 0, "", false},
		`{"message":"Invalid JSON near line:1 column:7"}`:                 {"", -1, "", false},
		`{"message":12,"position":"4","objectID":{"a":1}}`:                {"", 4, "", false},
		`{"position":-2}`:                {"", -1, "", false},
		`{"position":99999999999999999}`: {"", 99999999999999999, "", false},
		`[]`:                             {"", -1, "", false},
		`<html>`:                         {"", -1, "", false},
		``:                               {"", -1, "", false},
	} {
		got := readRefused([]byte(body))
		got.Message = ""
		if got != want {
			t.Errorf("%s: %+v, want %+v", body, got, want)
		}
	}
}

func TestFind_IDIsSurerThanPosition(t *testing.T) {
	ids := []string{"A", "B", "C"}
	for want, r := range map[int]refused{0: {Position: 2, ObjectID: "A"}, 2: {Position: 2, ObjectID: "Z"}, -1: {Position: 3}, 1: {Position: 1}} {
		if got := r.find(ids); got != want {
			t.Errorf("%+v: %d, want %d", r, got, want)
		}
	}
}

func FuzzReadRefused(f *testing.F) {
	f.Add([]byte(`{"message":"Record at the position 1 objectID=56 is too big size=20715 bytes","position":1,"objectID":"56"}`), 3)
	f.Add([]byte(`{"message":{"a":1},"position":"7"}`), 0)
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		ids := make([]string, min(max(n, 0), 1000))
		if at := readRefused(body).find(ids); at < -1 || at >= len(ids) {
			t.Errorf("%s: record %d of %d", body, at, len(ids))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	e, err := New(Options{ApplicationID: "a", Key: theKey("s3cr3t-key")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"taskID":1514562690001,"objectIDs":["A"]}`))
	f.Add([]byte(`{"hits":[{"objectID":"A","_version":1732379000123001,"_deleted":0}],"cursor":"x"}`))
	f.Add([]byte(`{"results":[null,{"objectID":"B","_version":"7","_deleted":null}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var task struct {
			Task int64 `json:"taskID"`
		}
		var page struct {
			Results []*record `json:"results"`
			Hits    []record  `json:"hits"`
		}
		var s settings
		for _, v := range []any{&task, &page, &s} {
			_ = e.read(request{what: "x"}, body, v)
		}
		for _, r := range append(page.Results, nil) {
			if r != nil {
				_ = r.stored()
			}
		}
		_ = s.generation()
		_ = e.tidy(string(body))
	})
}
