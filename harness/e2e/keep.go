package e2e

import (
	"context"
	"errors"
)

// Gather keeps what the machines have to tell beside the report, as Close does, of
// a lab that stays up.
func (r *Run) Gather(ctx context.Context, dir string) error {
	r.endAhead()
	return errors.Join(r.keepFiles(ctx, dir), r.Lab.SaveLogs())
}
