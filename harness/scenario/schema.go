package scenario

import (
	"bytes"
	"encoding/json"
	"reflect"

	"offload-e2e/harness/document"
)

// SchemaID is what scenario files call their schema.
const SchemaID = "https://offload-e2e.invalid/scenario.schema.json"

// Schema is the JSON Schema of scenario files, as fixtures/scenarios/schema.json
// holds it.
func Schema() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(document.Schema(reflect.TypeFor[Scenario](), SchemaID, "A scenario of offload-e2e: what goes wrong, and what has to be found"))
	return b.Bytes(), err
}
