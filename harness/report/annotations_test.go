package report

import (
	"bytes"
	"testing"
)

func TestAnnotations(t *testing.T) {
	r := full()
	r.RootCauses[0].Sentence = "100 % of\nthis: a, b"
	r.Errors = halted().Errors
	var b bytes.Buffer
	if err := Annotations(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "full.annotations.txt", b.Bytes())
}
