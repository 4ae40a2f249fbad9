package activate

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// The guest's bundles of authorities: Debian's, and the one pkgs.cacert is.
var caBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/usr/share/offload-e2e/ca-bundle.crt"}

// certificatesMark is the line after which a bundle is the configuration's own.
const certificatesMark = "# security.pki.certificates of the NixOS configuration\n"

// certificates adds security.pki.certificates to the guest's authorities, and
// takes away those of an earlier generation.
func (s *state) certificates() error {
	var own strings.Builder
	for _, pem := range s.new.Certificates {
		own.WriteString(strings.TrimRight(pem, "\n") + "\n")
	}
	var errs []error
	for _, path := range caBundles {
		// Debian may have a link there.
		real, err := s.resolve(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var now []byte
		if err == nil {
			now, err = os.ReadFile(s.path(real))
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		text, _, _ := bytes.Cut(now, []byte(certificatesMark))
		text = bytes.Clone(text)
		if own.Len() > 0 {
			if len(text) > 0 && text[len(text)-1] != '\n' {
				text = append(text, '\n')
			}
			text = append(text, certificatesMark+own.String()...)
		}
		if bytes.Equal(text, now) {
			continue
		}
		s.changed("certificates", path, "written")
		errs = append(errs, s.write(real, text, 0o644, 0, 0))
	}
	return errors.Join(errs...)
}
