// Package schema holds the JSON Schemas (draft 2020-12) of what runs write, for
// programs that read it, and checks documents against them.
package schema

import (
	"bytes"
	"embed"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The documents there are schemas of.
const (
	Report    = "report.schema.json"
	Scenarios = "scenarios.schema.json"
)

//go:embed *.schema.json
var files embed.FS

// Text is a schema as it is checked in.
func Text(name string) ([]byte, error) { return files.ReadFile(name) }

// Check checks a document; the error names every place that is not as it should be.
func Check(name string, document []byte) error {
	text, err := Text(name)
	if err != nil {
		return err
	}
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("schema %s: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(name, parsed); err != nil {
		return fmt.Errorf("schema %s: %w", name, err)
	}
	compiled, err := c.Compile(name)
	if err != nil {
		return fmt.Errorf("schema %s: %w", name, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return err
	}
	return compiled.Validate(value)
}
