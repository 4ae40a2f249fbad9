package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"offload-e2e/harness/report/schema"
)

// words are the values of the model's types that are words.
var words = map[reflect.Type][]any{
	reflect.TypeFor[Verdict](): {Pass, Fail, Error},
	reflect.TypeFor[State]():   {Holds, Warns, Broken, Skipped, Errored},
	reflect.TypeFor[Class]():   {Product, Infra, Timeout, Known},
	reflect.TypeFor[Layer]():   {Evaluation, Reachability, Port, Authentication, Trust, Protocol, Content},
}

// schemaOf is the schema of a type of the model, as encoding/json writes it.
func schemaOf(t reflect.Type) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case words[t] != nil:
		return map[string]any{"enum": words[t]}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		properties, required := map[string]any{}, []string{}
		for _, f := range reflect.VisibleFields(t) {
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name == "-" || len(f.Index) > 1 {
				continue
			}
			properties[name] = schemaOf(f.Type)
			if !strings.Contains(options, "omitempty") {
				required = append(required, name)
			}
		}
		return map[string]any{"type": "object", "properties": properties, "required": required}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	return map[string]any{"type": "string"}
}

// TestSchemas compares the schemas that are checked in with the model.
func TestSchemas(t *testing.T) {
	for name, of := range map[string]struct {
		typ   reflect.Type
		title string
	}{
		schema.Report:    {reflect.TypeFor[Report](), "report.json of offload-e2e; reports/README.md says what the fields mean"},
		schema.Scenarios: {reflect.TypeFor[Matrix](), "scenarios.json of offload-e2e: what became of faults made on purpose"},
	} {
		s := schemaOf(of.typ)
		s["$schema"], s["$id"], s["title"] = "https://json-schema.org/draft/2020-12/schema", "urn:offload-e2e:"+name, of.title
		s["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		text = append(text, '\n')
		file := filepath.Join("schema", name)
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		have, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, text) {
			t.Errorf("%s is not what the model says; go test ./harness/report -update writes it anew", file)
		}
	}
}

func TestReportsMeetTheSchema(t *testing.T) {
	for name, r := range map[string]*Report{"failed": failed(), "passed": passed(), "halted": halted(), "full": full()} {
		var b bytes.Buffer
		if err := (JSON{}).Write(&b, r); err != nil {
			t.Fatal(err)
		}
		if err := schema.Check(schema.Report, b.Bytes()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"a state there is not":    `"state": "holds"`,
		"a time that is a number": `"started": "2026-11-22T22:35:01Z"`,
		"a field that is missing": `"verdict": "pass",`,
	} {
		var b bytes.Buffer
		if err := (JSON{}).Write(&b, passed()); err != nil {
			t.Fatal(err)
		}
		field, _, _ := strings.Cut(text, ":")
		broken := strings.Replace(b.String(), text, map[bool]string{true: "", false: field + ": 5"}[strings.HasSuffix(text, ",")], 1)
		if broken == b.String() {
			t.Fatalf("%s: there is no %s", name, text)
		}
		if err := schema.Check(schema.Report, []byte(broken)); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestEveryReportHere checks what runs left in this clone, whoever made them.
func TestEveryReportHere(t *testing.T) {
	for kind, pattern := range map[string]string{schema.Report: JSONFile, schema.Scenarios: ScenariosFile} {
		files, err := filepath.Glob(filepath.Join("../../reports/*", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Check(kind, text); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
