package fault

import (
	"context"
	"fmt"

	"offload-e2e/harness/nixos"
)

// DuplicateAddress gives a machine, beside its own address, that of another: who is
// asked for it is a matter of luck.
type DuplicateAddress struct {
	Machine nixos.Role `yaml:"machine" need:"yes" enum:"desktop,laptop" doc:"who takes it"`
	Address string     `yaml:"address" need:"yes" doc:"the address, as 192.168.15.7"`
}

func (f *DuplicateAddress) String() string {
	return "the " + string(f.Machine) + " has " + f.Address + " too"
}

func (f *DuplicateAddress) Apply(ctx context.Context, w World) (Undo, error) {
	back := func(ctx context.Context) error {
		_, err := bash(ctx, w, f.Machine, `ip address del "$1/24" dev lan0`, f.Address)
		return err
	}
	_, err := bash(ctx, w, f.Machine, `ip address add "$1/24" dev lan0; arping -q -c 1 -A -I lan0 "$1" 2>/dev/null || :`, f.Address)
	return back, err
}

func (f *DuplicateAddress) Probe(ctx context.Context, w World) (bool, string, error) {
	res, err := exec(ctx, w, f.Machine, "sh", "-c", `ip -o -4 address show dev lan0 | grep -cw "$1"`, "probe", f.Address)
	return res.OK(), fmt.Sprintf("%s stands %s times on lan0", f.Address, res.Text()), err
}
