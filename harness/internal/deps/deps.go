package deps

import (
	_ "github.com/containers/gvisor-tap-vsock/pkg/virtualnetwork"
	_ "github.com/klauspost/compress/zstd"
	_ "github.com/miekg/dns"
	_ "github.com/nix-community/go-nix/pkg/nar"
	_ "github.com/nix-community/go-nix/pkg/narinfo"
	_ "github.com/nix-community/go-nix/pkg/narinfo/signature"
	_ "github.com/nix-community/go-nix/pkg/storepath"
	_ "github.com/onsi/ginkgo/v2"
	_ "github.com/onsi/gomega"
	_ "github.com/spf13/cobra"
	_ "github.com/ulikunitz/xz"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "gopkg.in/yaml.v3"
	_ "gvisor.dev/gvisor/pkg/tcpip/stack"
)
