package check

import (
	"context"
	"fmt"

	"offload-e2e/harness/nixos"
	"offload-e2e/harness/report"
)

// BuilderKeyExists proves that the key the laptop's builders name is there. A key
// that is not is passed over by ssh without an error, for any other it may find.
func BuilderKeyExists() Check {
	return Check{"EV.builder-key", "the key that the laptop's builders name exists", "laptop", func(ctx context.Context, p *Proof) {
		builders, _, ok := p.builders(ctx)
		if !ok {
			return
		}
		for _, b := range builders {
			if b.Key == "" {
				continue
			}
			res, ok := p.Exec(ctx, nixos.Laptop, "test", "-s", b.Key)
			if ok && !res.OK() {
				p.Broken(p.blame(ctx, nixos.Laptop, "nix.buildMachines", report.Diagnosis{Code: "keys.missing", Effective: b.Key, Expected: p.BuilderKeyPath(),
					Sentence: fmt.Sprintf("the laptop's builders name the key %s, which does not exist; the one made for them is %s", b.Key, p.BuilderKeyPath())}))
				return
			}
		}
	}}
}
