package docker_test

import (
	"testing"
	"time"

	"offload-e2e/harness/provider/conformance"
	"offload-e2e/harness/provider/conformance/containers"
)

func TestConformance(t *testing.T) {
	bed := containers.New(t)
	conformance.Run(t, conformance.Bed{
		Boot: 2 * time.Minute,
		Up:   func(t *testing.T) *conformance.Lab { return &bed.Up(t).Lab },
		Fail: func(t *testing.T) (*conformance.Lab, error) {
			l, err := bed.Fail(t)
			return &l.Lab, err
		},
	})
}
